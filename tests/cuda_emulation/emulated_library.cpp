// The CUDA ops as they are, launchers and all, with emulated kernels: ops of another name for tensors on the CPU.
#include "cuda/torch_cuda.h"

// What only a libtorch with CUDA has. These are found before libtorch's own.
extern "C" {
int32_t aoti_torch_device_type_cpu();
int32_t aoti_torch_device_type_cuda() { return aoti_torch_device_type_cpu(); }
AOTITorchError aoti_torch_create_device_guard(int32_t, DeviceGuardHandle* guard) {
  *guard = nullptr;
  return 0;
}
AOTITorchError aoti_torch_delete_device_guard(DeviceGuardHandle) { return 0; }
AOTITorchError aoti_torch_get_current_cuda_stream(int32_t, void** stream) {
  *stream = nullptr;
  return 0;
}
}

#include "cuda/distinct_pairs.cu"
#include "cuda/neighbor_pairs.cu"
#include "cuda/pair_vectors.cu"
#include "cuda/table_environment.cu"
#include "cuda/table_message.cu"

namespace torchmdnet {
namespace {

struct Op {
  const char *name, *schema;
  void (*run)(StableIValue*, uint64_t, uint64_t);
};

constexpr Op kEmulated[] = {
    {"neighbor_pairs",
     "neighbor_pairs(Tensor pos, Tensor batch, Tensor box, Tensor periodic, SymInt num_systems, float cutoff_lower, "
     "float cutoff_upper, bool loop, bool half, SymInt capacity) -> (Tensor vector, Tensor distance, Tensor receiver, "
     "Tensor sender, Tensor shift, Tensor row_ptr, Tensor status)",
     neighbor_pairs_cuda},
    {"pair_vectors",
     "pair_vectors(Tensor pos, Tensor box, Tensor batch, Tensor receiver, Tensor sender, Tensor shift, Tensor row_ptr) "
     "-> Tensor",
     pair_vectors_cuda},
    {"pair_vectors_transpose",
     "pair_vectors_transpose(Tensor grad, Tensor batch, Tensor sender, Tensor shift, Tensor row_ptr, "
     "SymInt num_systems, bool with_box) -> (Tensor pos, Tensor box)",
     pair_vectors_transpose_cuda},
    {"distinct_pairs",
     "distinct_pairs(Tensor sender, Tensor shift, Tensor row_ptr, bool loop, bool padded) -> "
     "(Tensor first, Tensor pair)",
     distinct_pairs_cuda},
    {"table_message",
     "table_message(Tensor table, Tensor s, Tensor x, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> "
     "Tensor",
     table_message_cuda},
    {"table_message_backward",
     "table_message_backward(Tensor grad, Tensor table, Tensor s, Tensor x, Tensor receiver, Tensor sender, "
     "Tensor row_ptr, Tensor pair) -> (Tensor x, Tensor s)",
     table_message_backward_cuda},
    {"table_environment",
     "table_environment(Tensor table, Tensor s, Tensor y, Tensor own, Tensor other, Tensor receiver, Tensor sender, "
     "Tensor row_ptr, Tensor pair) -> Tensor",
     table_environment_cuda},
    {"table_environment_backward",
     "table_environment_backward(Tensor grad, Tensor table, Tensor s, Tensor y, Tensor own, Tensor other, "
     "Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> (Tensor y, Tensor s)",
     table_environment_backward_cuda},
};

struct EmulatedRegistration {
  EmulatedRegistration() {
    TorchLibraryHandle define, implement;
    TMD_CHECK(aoti_torch_library_init_def("torchmdnet_emulated", __FILE__, __LINE__, &define));
    TMD_CHECK(aoti_torch_library_init_impl("torchmdnet_emulated", "CPU", __FILE__, __LINE__, &implement));
    for (const Op& op : kEmulated) {
      TMD_CHECK(aoti_torch_library_def(define, op.schema));
      TMD_CHECK(torch_library_impl(implement, op.name, op.run, kAbiVersion));
    }
  }
} registration;

}  // namespace
}  // namespace torchmdnet
