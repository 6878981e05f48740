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
AOTITorchError aoti_torch_cpu_bmm_out(AtenTensorHandle out, AtenTensorHandle a, AtenTensorHandle b);
AOTITorchError aoti_torch_cpu_mm_out(AtenTensorHandle out, AtenTensorHandle a, AtenTensorHandle b);
AOTITorchError aoti_torch_cpu_addmm_out(AtenTensorHandle out, AtenTensorHandle added, AtenTensorHandle a,
                                        AtenTensorHandle b, double beta, double alpha);
AOTITorchError aoti_torch_cuda_bmm_out(AtenTensorHandle out, AtenTensorHandle a, AtenTensorHandle b) {
  ++emulation::num_launches;
  return aoti_torch_cpu_bmm_out(out, a, b);
}
AOTITorchError aoti_torch_cuda_mm_out(AtenTensorHandle out, AtenTensorHandle a, AtenTensorHandle b) {
  ++emulation::num_launches;
  return aoti_torch_cpu_mm_out(out, a, b);
}
AOTITorchError aoti_torch_cuda_addmm_out(AtenTensorHandle out, AtenTensorHandle added, AtenTensorHandle a,
                                         AtenTensorHandle b, double beta, double alpha) {
  ++emulation::num_launches;
  return aoti_torch_cpu_addmm_out(out, added, a, b, beta, alpha);
}
}

#include "cuda/atom_projection.cu"
#include "cuda/distinct_pairs.cu"
#include "cuda/edge_message.cu"
#include "cuda/edge_tensors.cu"
#include "cuda/jets.cu"
#include "cuda/neighbor_pairs.cu"
#include "cuda/pair_distances.cu"
#include "cuda/pair_vectors.cu"
#include "cuda/part_norms.cu"
#include "cuda/refresh_pairs.cu"
#include "cuda/table_attention.cu"
#include "cuda/table_attention_backward.cu"
#include "cuda/table_coordinate.cu"
#include "cuda/table_environment.cu"
#include "cuda/table_message.cu"
#include "cuda/table_scalar_attention.cu"
#include "cuda/table_sum.cu"
#include "cuda/tensor_algebra.cu"
#include "cuda/tensor_mix.cu"
#include "cuda/tensor_environment.cu"
#include "cuda/tensor_message.cu"
#include "cuda/tensor_update.cu"
#include "cuda/vector_exchange.cu"
#include "cuda/vector_lengths.cu"

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
    {"tensor_mix",
     "tensor_mix(Tensor x, Tensor trace_map, Tensor skew_map, Tensor symmetric_map) -> (Tensor normal, Tensor mixed)",
     tensor_mix_cuda},
    {"tensor_mix_backward",
     "tensor_mix_backward(Tensor by_normal, Tensor by_mixed, Tensor x, Tensor trace_map, Tensor skew_map, "
     "Tensor symmetric_map) -> Tensor",
     tensor_mix_backward_cuda},
    {"tensor_scale",
     "tensor_scale(Tensor x, Tensor scales, Tensor trace_map, Tensor skew_map, Tensor symmetric_map) -> Tensor",
     tensor_scale_cuda},
    {"tensor_scale_backward",
     "tensor_scale_backward(Tensor grad, Tensor x, Tensor scales, Tensor trace_map, Tensor skew_map, "
     "Tensor symmetric_map) -> (Tensor x, Tensor scales)",
     tensor_scale_backward_cuda},
    {"tensor_update",
     "tensor_update(Tensor x, Tensor y, Tensor message, Tensor kappa, Tensor trace_map, Tensor skew_map, "
     "Tensor symmetric_map, bool both) -> Tensor",
     tensor_update_cuda},
    {"tensor_update_backward",
     "tensor_update_backward(Tensor grad, Tensor y, Tensor message, Tensor kappa, Tensor trace_map, Tensor skew_map, "
     "Tensor symmetric_map, bool both) -> (Tensor y, Tensor message)",
     tensor_update_backward_cuda},
    {"part_norms", "part_norms(Tensor x) -> Tensor", part_norms_cuda},
    {"part_norms_backward", "part_norms_backward(Tensor grad, Tensor x) -> Tensor", part_norms_backward_cuda},
    {"edge_tensors", "edge_tensors(Tensor vector) -> Tensor", edge_tensors_cuda},
    {"edge_tensors_backward", "edge_tensors_backward(Tensor grad, Tensor vector) -> Tensor", edge_tensors_backward_cuda},
    {"along_vectors",
     "along_vectors(Tensor by_vector, Tensor by_distance, Tensor vector, Tensor distance) -> Tensor",
     along_vectors_cuda},
    {"table_scalar_attention",
     "table_scalar_attention(Tensor table, Tensor s, Tensor query, Tensor key, Tensor value, Tensor receiver, "
     "Tensor sender, Tensor row_ptr, Tensor pair, int num_heads) -> Tensor",
     table_scalar_attention_cuda},
    {"table_scalar_attention_backward",
     "table_scalar_attention_backward(Tensor grad, Tensor table, Tensor s, Tensor query, Tensor key, Tensor value, "
     "Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair, int num_heads) -> "
     "(Tensor s, Tensor query, Tensor key, Tensor value)",
     table_scalar_attention_backward_cuda},
    {"atom_projection",
     "atom_projection(Tensor x, Tensor scale, Tensor shift, Tensor map, Tensor transposed, Tensor bias, float eps) -> "
     "(Tensor query, Tensor key, Tensor value)",
     atom_projection_cuda},
    {"atom_projection_backward",
     "atom_projection_backward(Tensor grad_query, Tensor grad_key, Tensor grad_value, Tensor x, Tensor scale, "
     "Tensor shift, Tensor map, Tensor transposed, Tensor bias, float eps) -> Tensor",
     atom_projection_backward_cuda},
    {"vector_exchange",
     "vector_exchange(Tensor x, Tensor v, Tensor received, Tensor vectors, Tensor map, Tensor transposed, Tensor bias, "
     "Tensor vector_map, Tensor vector_transposed, bool keeps) -> (Tensor x, Tensor v, Tensor p, Tensor o)",
     vector_exchange_cuda},
    {"vector_exchange_backward",
     "vector_exchange_backward(Tensor grad_x, Tensor grad_v, Tensor v, Tensor received, Tensor p, Tensor o, Tensor map, "
     "Tensor transposed, Tensor bias, Tensor vector_map, Tensor vector_transposed) -> (Tensor v, Tensor received)",
     vector_exchange_backward_cuda},
    {"sender_directions", "sender_directions(Tensor vector) -> Tensor", sender_directions_cuda},
    {"sender_directions_backward",
     "sender_directions_backward(Tensor grad, Tensor vector) -> Tensor",
     sender_directions_backward_cuda},
    {"table_coordinate",
     "table_coordinate(Tensor distance, float rate, float end, float factor) -> Tensor",
     table_coordinate_cuda},
    {"table_coordinate_backward",
     "table_coordinate_backward(Tensor grad, Tensor distance, float rate, float end, float factor) -> Tensor",
     table_coordinate_backward_cuda},
    {"vector_lengths", "vector_lengths(Tensor vectors) -> Tensor", vector_lengths_cuda},
    {"vector_lengths_backward",
     "vector_lengths_backward(Tensor grad, Tensor vectors) -> Tensor",
     vector_lengths_backward_cuda},
    {"pair_distances", "pair_distances(Tensor distance, Tensor first, Tensor pair) -> Tensor", pair_distances_cuda},
    {"pair_distances_backward",
     "pair_distances_backward(Tensor grad, Tensor first, Tensor pair) -> Tensor",
     pair_distances_backward_cuda},
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
    {"table_attention",
     "table_attention(Tensor table, Tensor s, Tensor query, Tensor key, Tensor value, Tensor vector, Tensor direction, "
     "Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair, int num_heads) -> (Tensor scalar, Tensor vector)",
     table_attention_cuda},
    {"table_attention_backward",
     "table_attention_backward(Tensor grad_scalar, Tensor grad_vector, Tensor table, Tensor s, Tensor query, "
     "Tensor key, Tensor value, Tensor vector, Tensor direction, Tensor receiver, Tensor sender, Tensor row_ptr, "
     "Tensor pair, int num_heads) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
     table_attention_backward_cuda},
    {"table_sum",
     "table_sum(Tensor table, Tensor s, Tensor x, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> "
     "Tensor",
     table_sum_cuda},
    {"table_sum_backward",
     "table_sum_backward(Tensor grad, Tensor table, Tensor s, Tensor x, Tensor receiver, Tensor sender, "
     "Tensor row_ptr, Tensor pair) -> (Tensor x, Tensor s)",
     table_sum_backward_cuda},
    {"refresh_pairs",
     "refresh_pairs(Tensor pos, Tensor batch, Tensor box, Tensor sender, Tensor shift, Tensor row_ptr, "
     "Tensor known_pos, Tensor known_box, float reach, float cutoff_lower, float cutoff_upper, SymInt capacity) -> "
     "(Tensor vector, Tensor distance, Tensor receiver, Tensor sender, Tensor shift, Tensor row_ptr, Tensor status)",
     refresh_pairs_cuda},
    {"tensor_message",
     "tensor_message(Tensor weight, Tensor x, Tensor sender, Tensor row_ptr, Tensor pair) -> Tensor",
     tensor_message_cuda},
    {"tensor_message_weight",
     "tensor_message_weight(Tensor x, Tensor y, Tensor sender, Tensor row_ptr, Tensor pair, Tensor rows) -> Tensor",
     tensor_message_weight_cuda},
    {"edge_message",
     "edge_message(Tensor weight, Tensor x, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> Tensor",
     edge_message_cuda},
    {"edge_message_transpose",
     "edge_message_transpose(Tensor weight, Tensor y, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> "
     "Tensor",
     edge_message_transpose_cuda},
    {"edge_message_weight",
     "edge_message_weight(Tensor x, Tensor y, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> Tensor",
     edge_message_weight_cuda},
    {"tensor_environment",
     "tensor_environment(Tensor y, Tensor weight, Tensor own, Tensor other, Tensor sender, Tensor row_ptr, "
     "Tensor pair) -> Tensor",
     tensor_environment_cuda},
    {"tensor_environment_backward",
     "tensor_environment_backward(Tensor grad, Tensor y, Tensor weight, Tensor own, Tensor other, Tensor sender, "
     "Tensor row_ptr, Tensor pair) -> (Tensor, Tensor, Tensor, Tensor)",
     tensor_environment_backward_cuda},
    {"tensor_product",
     "tensor_product(Tensor a, Tensor b, int transpose_a, int transpose_b, int both) -> Tensor",
     tensor_product_cuda},
    {"tensor_normalize",
     "tensor_normalize(Tensor x) -> Tensor",
     tensor_normalize_cuda},
    {"tensor_normalize_slope",
     "tensor_normalize_slope(Tensor x, Tensor grad) -> Tensor",
     tensor_normalize_slope_cuda},
    {"tensor_normalize_curvature",
     "tensor_normalize_curvature(Tensor x, Tensor grad, Tensor other) -> Tensor",
     tensor_normalize_curvature_cuda},
    {"silu_jet",
     "silu_jet(Tensor x, Tensor sigma, Tensor slope) -> (Tensor, Tensor)",
     silu_jet_cuda},
    {"silu_jet_backward",
     "silu_jet_backward(Tensor grad, Tensor grad_slope, Tensor x, Tensor sigma, Tensor slope) -> (Tensor, Tensor)",
     silu_jet_backward_cuda},
    {"faded_slope",
     "faded_slope(Tensor grad, Tensor f, Tensor f_slope, Tensor c, Tensor c_slope) -> Tensor",
     faded_slope_cuda},
    {"faded_slope_backward",
     "faded_slope_backward(Tensor h, Tensor grad, Tensor f, Tensor f_slope, Tensor c, Tensor c_slope) -> "
     "(Tensor, Tensor, Tensor)",
     faded_slope_backward_cuda},
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
