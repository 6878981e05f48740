// The CUDA kernels of the ops whose schemas the CPU library defines: load that one first.
#include "../torch_abi.h"

namespace torchmdnet {

void neighbor_pairs_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void pair_vectors_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void pair_vectors_transpose_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void distinct_pairs_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_message_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_message_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_environment_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_environment_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);

namespace {

struct Kernel {
  const char* op;
  void (*run)(StableIValue*, uint64_t, uint64_t);
};

constexpr Kernel kKernels[] = {
    {"neighbor_pairs", neighbor_pairs_cuda},
    {"pair_vectors", pair_vectors_cuda},
    {"pair_vectors_transpose", pair_vectors_transpose_cuda},
    {"distinct_pairs", distinct_pairs_cuda},
    {"table_message", table_message_cuda},
    {"table_message_backward", table_message_backward_cuda},
    {"table_environment", table_environment_cuda},
    {"table_environment_backward", table_environment_backward_cuda},
};

struct Registration {
  Registration() {
    // The handle lives as long as the process: deleting it would take the kernels away.
    TorchLibraryHandle implement;
    TMD_CHECK(aoti_torch_library_init_impl("torchmdnet", "CUDA", __FILE__, __LINE__, &implement));
    for (const Kernel& kernel : kKernels) TMD_CHECK(torch_library_impl(implement, kernel.op, kernel.run, kAbiVersion));
  }
} registration;

}  // namespace
}  // namespace torchmdnet
