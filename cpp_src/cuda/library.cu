// The CUDA kernels of the ops whose schemas the CPU library defines: load that one first.
#include "../torch_abi.h"

namespace torchmdnet {

void neighbor_pairs_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void pair_vectors_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void pair_vectors_transpose_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void distinct_pairs_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void refresh_pairs_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_message_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_message_weight_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void edge_message_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void edge_message_transpose_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void edge_message_weight_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_environment_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_environment_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_product_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_normalize_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_normalize_slope_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_normalize_curvature_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_mix_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_mix_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_scale_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_scale_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_update_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_update_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void part_norms_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void part_norms_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void edge_tensors_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void edge_tensors_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void along_vectors_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_scalar_attention_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_scalar_attention_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void atom_projection_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void atom_projection_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void vector_exchange_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void vector_exchange_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void sender_directions_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void sender_directions_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_coordinate_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_coordinate_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void vector_lengths_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void vector_lengths_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void pair_distances_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void pair_distances_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_message_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_message_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_environment_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_environment_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_attention_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_attention_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_sum_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_sum_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void silu_jet_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void silu_jet_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void faded_slope_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void faded_slope_backward_cuda(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);

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
    {"refresh_pairs", refresh_pairs_cuda},
    {"tensor_message", tensor_message_cuda},
    {"tensor_message_weight", tensor_message_weight_cuda},
    {"edge_message", edge_message_cuda},
    {"edge_message_transpose", edge_message_transpose_cuda},
    {"edge_message_weight", edge_message_weight_cuda},
    {"tensor_environment", tensor_environment_cuda},
    {"tensor_environment_backward", tensor_environment_backward_cuda},
    {"tensor_product", tensor_product_cuda},
    {"tensor_normalize", tensor_normalize_cuda},
    {"tensor_normalize_slope", tensor_normalize_slope_cuda},
    {"tensor_normalize_curvature", tensor_normalize_curvature_cuda},
    {"tensor_mix", tensor_mix_cuda},
    {"tensor_mix_backward", tensor_mix_backward_cuda},
    {"tensor_scale", tensor_scale_cuda},
    {"tensor_scale_backward", tensor_scale_backward_cuda},
    {"tensor_update", tensor_update_cuda},
    {"tensor_update_backward", tensor_update_backward_cuda},
    {"part_norms", part_norms_cuda},
    {"part_norms_backward", part_norms_backward_cuda},
    {"edge_tensors", edge_tensors_cuda},
    {"edge_tensors_backward", edge_tensors_backward_cuda},
    {"along_vectors", along_vectors_cuda},
    {"table_scalar_attention", table_scalar_attention_cuda},
    {"table_scalar_attention_backward", table_scalar_attention_backward_cuda},
    {"atom_projection", atom_projection_cuda},
    {"atom_projection_backward", atom_projection_backward_cuda},
    {"vector_exchange", vector_exchange_cuda},
    {"vector_exchange_backward", vector_exchange_backward_cuda},
    {"sender_directions", sender_directions_cuda},
    {"sender_directions_backward", sender_directions_backward_cuda},
    {"table_coordinate", table_coordinate_cuda},
    {"table_coordinate_backward", table_coordinate_backward_cuda},
    {"vector_lengths", vector_lengths_cuda},
    {"vector_lengths_backward", vector_lengths_backward_cuda},
    {"pair_distances", pair_distances_cuda},
    {"pair_distances_backward", pair_distances_backward_cuda},
    {"table_message", table_message_cuda},
    {"table_message_backward", table_message_backward_cuda},
    {"table_environment", table_environment_cuda},
    {"table_environment_backward", table_environment_backward_cuda},
    {"table_attention", table_attention_cuda},
    {"table_attention_backward", table_attention_backward_cuda},
    {"table_sum", table_sum_cuda},
    {"table_sum_backward", table_sum_backward_cuda},
    {"silu_jet", silu_jet_cuda},
    {"silu_jet_backward", silu_jet_backward_cuda},
    {"faded_slope", faded_slope_cuda},
    {"faded_slope_backward", faded_slope_backward_cuda},
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
