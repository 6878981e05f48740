// Schemas of all ops, one line each, and their kernels. Fake kernels and autograd are registered in Python.
#include "torch_abi.h"

namespace torchmdnet {

void neighbor_pairs(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void pair_vectors(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void pair_vectors_transpose(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void distinct_pairs(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void refresh_pairs(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_message(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_message_weight(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void edge_message(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void edge_message_transpose(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void edge_message_weight(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void charged_message(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void charged_message_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_environment(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_environment_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_product(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_normalize(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_normalize_slope(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_normalize_curvature(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_update(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_update_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_mix(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_mix_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_scale(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_scale_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void part_norms(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void part_norms_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void edge_tensors(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void edge_tensors_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void along_vectors(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void sender_directions(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void sender_directions_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_coordinate(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_coordinate_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void vector_lengths(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void vector_lengths_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void pair_distances(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void pair_distances_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_message(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_message_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_environment(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_environment_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_attention(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_attention_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_sum(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_sum_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_scalar_attention(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void table_scalar_attention_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void atom_projection(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void atom_projection_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void vector_exchange(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void vector_exchange_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void silu_jet(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void silu_jet_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void faded_slope(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void faded_slope_backward(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);

namespace {

struct Op {
  const char* name;
  const char* schema;
  void (*cpu)(StableIValue*, uint64_t, uint64_t);
};

constexpr Op kOps[] = {
    {"neighbor_pairs",
     "neighbor_pairs(Tensor pos, Tensor batch, Tensor box, Tensor periodic, SymInt num_systems, float cutoff_lower, "
     "float cutoff_upper, bool loop, bool half, SymInt capacity) -> (Tensor vector, Tensor distance, Tensor receiver, "
     "Tensor sender, Tensor shift, Tensor row_ptr, Tensor status)",
     neighbor_pairs},
    {"pair_vectors",
     "pair_vectors(Tensor pos, Tensor box, Tensor batch, Tensor receiver, Tensor sender, Tensor shift, Tensor row_ptr) "
     "-> Tensor",
     pair_vectors},
    {"pair_vectors_transpose",
     "pair_vectors_transpose(Tensor grad, Tensor batch, Tensor sender, Tensor shift, Tensor row_ptr, "
     "SymInt num_systems, bool with_box) -> (Tensor pos, Tensor box)",
     pair_vectors_transpose},
    {"distinct_pairs",
     "distinct_pairs(Tensor sender, Tensor shift, Tensor row_ptr, bool loop, bool padded) -> (Tensor first, Tensor pair)",
     distinct_pairs},
    {"refresh_pairs",
     "refresh_pairs(Tensor pos, Tensor batch, Tensor box, Tensor sender, Tensor shift, Tensor row_ptr, "
     "Tensor known_pos, Tensor known_box, float reach, float cutoff_lower, float cutoff_upper, SymInt capacity) -> "
     "(Tensor vector, Tensor distance, Tensor receiver, Tensor sender, Tensor shift, Tensor row_ptr, Tensor status)",
     refresh_pairs},
    {"tensor_message",
     "tensor_message(Tensor weight, Tensor x, Tensor sender, Tensor row_ptr, Tensor pair) -> Tensor",
     tensor_message},
    {"tensor_message_weight",
     "tensor_message_weight(Tensor x, Tensor y, Tensor sender, Tensor row_ptr, Tensor pair, Tensor rows) -> Tensor",
     tensor_message_weight},
    {"edge_message",
     "edge_message(Tensor weight, Tensor x, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> Tensor",
     edge_message},
    {"edge_message_transpose",
     "edge_message_transpose(Tensor weight, Tensor y, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> "
     "Tensor",
     edge_message_transpose},
    {"edge_message_weight",
     "edge_message_weight(Tensor x, Tensor y, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> Tensor",
     edge_message_weight},
    {"charged_message",
     "charged_message(Tensor rows, Tensor row, Tensor t, Tensor own, Tensor other, Tensor y, Tensor second, "
     "Tensor second_transposed, Tensor second_bias, Tensor third, Tensor third_transposed, Tensor third_bias, "
     "Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair, bool keeps) -> (Tensor message, Tensor kept)",
     charged_message},
    {"charged_message_backward",
     "charged_message_backward(Tensor grad, Tensor rows, Tensor row, Tensor t, Tensor own, Tensor other, Tensor y, "
     "Tensor second, Tensor second_transposed, Tensor second_bias, Tensor third, Tensor third_transposed, "
     "Tensor third_bias, Tensor kept, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> "
     "(Tensor t, Tensor own, Tensor other, Tensor y)",
     charged_message_backward},
    {"tensor_environment",
     "tensor_environment(Tensor y, Tensor weight, Tensor own, Tensor other, Tensor sender, Tensor row_ptr, "
     "Tensor pair) -> Tensor",
     tensor_environment},
    {"tensor_environment_backward",
     "tensor_environment_backward(Tensor grad, Tensor y, Tensor weight, Tensor own, Tensor other, Tensor sender, "
     "Tensor row_ptr, Tensor pair) -> (Tensor, Tensor, Tensor, Tensor)",
     tensor_environment_backward},
    {"tensor_product",
     "tensor_product(Tensor a, Tensor b, int transpose_a, int transpose_b, int both) -> Tensor",
     tensor_product},
    {"tensor_normalize",
     "tensor_normalize(Tensor x) -> Tensor",
     tensor_normalize},
    {"tensor_normalize_slope",
     "tensor_normalize_slope(Tensor x, Tensor grad) -> Tensor",
     tensor_normalize_slope},
    {"tensor_normalize_curvature",
     "tensor_normalize_curvature(Tensor x, Tensor grad, Tensor other) -> Tensor",
     tensor_normalize_curvature},
    {"tensor_update",
     "tensor_update(Tensor x, Tensor y, Tensor message, Tensor kappa, Tensor trace_map, Tensor skew_map, "
     "Tensor symmetric_map, bool both) -> Tensor",
     tensor_update},
    {"tensor_update_backward",
     "tensor_update_backward(Tensor grad, Tensor y, Tensor message, Tensor kappa, Tensor trace_map, Tensor skew_map, "
     "Tensor symmetric_map, bool both) -> (Tensor y, Tensor message)",
     tensor_update_backward},
    {"tensor_mix",
     "tensor_mix(Tensor x, Tensor trace_map, Tensor skew_map, Tensor symmetric_map) -> (Tensor normal, Tensor mixed)",
     tensor_mix},
    {"tensor_mix_backward",
     "tensor_mix_backward(Tensor by_normal, Tensor by_mixed, Tensor x, Tensor trace_map, Tensor skew_map, "
     "Tensor symmetric_map) -> Tensor",
     tensor_mix_backward},
    {"tensor_scale",
     "tensor_scale(Tensor x, Tensor scales, Tensor trace_map, Tensor skew_map, Tensor symmetric_map) -> Tensor",
     tensor_scale},
    {"tensor_scale_backward",
     "tensor_scale_backward(Tensor grad, Tensor x, Tensor scales, Tensor trace_map, Tensor skew_map, "
     "Tensor symmetric_map) -> (Tensor x, Tensor scales)",
     tensor_scale_backward},
    {"part_norms", "part_norms(Tensor x) -> Tensor", part_norms},
    {"part_norms_backward", "part_norms_backward(Tensor grad, Tensor x) -> Tensor", part_norms_backward},
    {"edge_tensors", "edge_tensors(Tensor vector) -> Tensor", edge_tensors},
    {"edge_tensors_backward", "edge_tensors_backward(Tensor grad, Tensor vector) -> Tensor", edge_tensors_backward},
    {"along_vectors",
     "along_vectors(Tensor by_vector, Tensor by_distance, Tensor vector, Tensor distance) -> Tensor",
     along_vectors},
    {"sender_directions", "sender_directions(Tensor vector) -> Tensor", sender_directions},
    {"sender_directions_backward",
     "sender_directions_backward(Tensor grad, Tensor vector) -> Tensor",
     sender_directions_backward},
    {"table_coordinate",
     "table_coordinate(Tensor distance, float rate, float end, float factor) -> Tensor",
     table_coordinate},
    {"table_coordinate_backward",
     "table_coordinate_backward(Tensor grad, Tensor distance, float rate, float end, float factor) -> Tensor",
     table_coordinate_backward},
    {"vector_lengths", "vector_lengths(Tensor vectors) -> Tensor", vector_lengths},
    {"vector_lengths_backward",
     "vector_lengths_backward(Tensor grad, Tensor vectors) -> Tensor",
     vector_lengths_backward},
    {"pair_distances", "pair_distances(Tensor distance, Tensor first, Tensor pair) -> Tensor", pair_distances},
    {"pair_distances_backward",
     "pair_distances_backward(Tensor grad, Tensor first, Tensor pair) -> Tensor",
     pair_distances_backward},
    {"table_message",
     "table_message(Tensor table, Tensor s, Tensor x, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> "
     "Tensor",
     table_message},
    {"table_message_backward",
     "table_message_backward(Tensor grad, Tensor table, Tensor s, Tensor x, Tensor receiver, Tensor sender, "
     "Tensor row_ptr, Tensor pair) -> (Tensor x, Tensor s)",
     table_message_backward},
    {"table_environment",
     "table_environment(Tensor table, Tensor s, Tensor y, Tensor own, Tensor other, Tensor receiver, Tensor sender, "
     "Tensor row_ptr, Tensor pair) -> Tensor",
     table_environment},
    {"table_environment_backward",
     "table_environment_backward(Tensor grad, Tensor table, Tensor s, Tensor y, Tensor own, Tensor other, "
     "Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> (Tensor y, Tensor s)",
     table_environment_backward},
    {"table_attention",
     "table_attention(Tensor table, Tensor s, Tensor query, Tensor key, Tensor value, Tensor vector, Tensor direction, "
     "Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair, int num_heads) -> (Tensor scalar, Tensor vector)",
     table_attention},
    {"table_attention_backward",
     "table_attention_backward(Tensor grad_scalar, Tensor grad_vector, Tensor table, Tensor s, Tensor query, "
     "Tensor key, Tensor value, Tensor vector, Tensor direction, Tensor receiver, Tensor sender, Tensor row_ptr, "
     "Tensor pair, int num_heads) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
     table_attention_backward},
    {"table_sum",
     "table_sum(Tensor table, Tensor s, Tensor x, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> "
     "Tensor",
     table_sum},
    {"table_sum_backward",
     "table_sum_backward(Tensor grad, Tensor table, Tensor s, Tensor x, Tensor receiver, Tensor sender, "
     "Tensor row_ptr, Tensor pair) -> (Tensor x, Tensor s)",
     table_sum_backward},
    {"table_scalar_attention",
     "table_scalar_attention(Tensor table, Tensor s, Tensor query, Tensor key, Tensor value, Tensor receiver, "
     "Tensor sender, Tensor row_ptr, Tensor pair, int num_heads) -> Tensor",
     table_scalar_attention},
    {"table_scalar_attention_backward",
     "table_scalar_attention_backward(Tensor grad, Tensor table, Tensor s, Tensor query, Tensor key, Tensor value, "
     "Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair, int num_heads) -> "
     "(Tensor s, Tensor query, Tensor key, Tensor value)",
     table_scalar_attention_backward},
    {"atom_projection",
     "atom_projection(Tensor x, Tensor scale, Tensor shift, Tensor map, Tensor transposed, Tensor bias, float eps) -> "
     "(Tensor query, Tensor key, Tensor value)",
     atom_projection},
    {"atom_projection_backward",
     "atom_projection_backward(Tensor grad_query, Tensor grad_key, Tensor grad_value, Tensor x, Tensor scale, "
     "Tensor shift, Tensor map, Tensor transposed, Tensor bias, float eps) -> Tensor",
     atom_projection_backward},
    {"vector_exchange",
     "vector_exchange(Tensor x, Tensor v, Tensor received, Tensor vectors, Tensor map, Tensor transposed, Tensor bias, "
     "Tensor vector_map, Tensor vector_transposed, bool keeps) -> (Tensor x, Tensor v, Tensor p, Tensor o)",
     vector_exchange},
    {"vector_exchange_backward",
     "vector_exchange_backward(Tensor grad_x, Tensor grad_v, Tensor v, Tensor received, Tensor p, Tensor o, Tensor map, "
     "Tensor transposed, Tensor bias, Tensor vector_map, Tensor vector_transposed) -> (Tensor v, Tensor received)",
     vector_exchange_backward},
    {"silu_jet",
     "silu_jet(Tensor x, Tensor sigma, Tensor slope) -> (Tensor, Tensor)",
     silu_jet},
    {"silu_jet_backward",
     "silu_jet_backward(Tensor grad, Tensor grad_slope, Tensor x, Tensor sigma, Tensor slope) -> (Tensor, Tensor)",
     silu_jet_backward},
    {"faded_slope",
     "faded_slope(Tensor grad, Tensor f, Tensor f_slope, Tensor c, Tensor c_slope) -> Tensor",
     faded_slope},
    {"faded_slope_backward",
     "faded_slope_backward(Tensor h, Tensor grad, Tensor f, Tensor f_slope, Tensor c, Tensor c_slope) -> "
     "(Tensor, Tensor, Tensor)",
     faded_slope_backward},
};

struct Registration {
  Registration() {
    // The handles live as long as the process: deleting them would take the ops away.
    TorchLibraryHandle define, implement;
    TMD_CHECK(aoti_torch_library_init_def("torchmdnet", __FILE__, __LINE__, &define));
    TMD_CHECK(aoti_torch_library_init_impl("torchmdnet", "CPU", __FILE__, __LINE__, &implement));
    for (const Op& op : kOps) {
      TMD_CHECK(aoti_torch_library_def(define, op.schema));
      TMD_CHECK(torch_library_impl(implement, op.name, op.cpu, kAbiVersion));
    }
  }
} registration;

}  // namespace
}  // namespace torchmdnet
