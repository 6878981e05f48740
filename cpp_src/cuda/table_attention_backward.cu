// The derivative of table_attention.cu; see cpu/table_attention_backward.cpp.
#include "table_attention_backward.cuh"

#include "table_arrays.h"

namespace torchmdnet {

// table_attention_backward(grad_scalar, grad_vector, table, s, query, key, value, vector, direction, receiver, sender,
//   row_ptr, pair, num_heads) -> s, query, key, value, vector, direction
//
// A clear and two launches, a warp, or four if atoms are few, an atom, on the current stream, without synchronisation;
// deterministic (see slope_sums.cuh). Reads 32 C numbers an edge, 24 of the table and 8 of the sender, and 12 C an
// atom, writes 8 C an atom and 3 numbers an edge, and does one atomic an edge. C of more than 128 is gone through in
// chunks, with a number an edge of workspace between them. Of a head of more than 128 channels, what its weights are
// made of is read again for each 128.
void table_attention_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad_scalar(stack[0]), grad_vector(stack[1]), table(stack[2]), s(stack[3]), query(stack[4]),
      key(stack[5]), value(stack[6]), vector(stack[7]), direction(stack[8]), receiver(stack[9]), sender(stack[10]),
      row_ptr(stack[11]), pair(stack[12]);
  const int64_t num_heads = argument<int64_t>(stack[13]);
  const AttentionTensors tensors{table, s, query, key, value, vector, direction};
  tensors.check(sender, num_heads);
  tensors.check_gradients(grad_scalar, grad_vector);
  const TableArrays arrays{table, s, receiver, sender, row_ptr, pair};
  arrays.check(query.size(0));
  const OnDevice device({&query, &grad_scalar, &grad_vector, &table, &s, &key, &value, &vector, &direction, &receiver,
                         &sender, &row_ptr, &pair});
  const int64_t N = query.size(0), C = query.size(1);
  Tensor to_s = s.empty_like({s.size(0)}), to_query = query.empty_like({N, C}), to_key = query.empty_like({N, C}),
         to_value = query.empty_like({N, kValues * C}), to_vector = query.empty_like({N, kAxes, C}),
         to_direction = query.empty_like({sender.size(0), kAxes});
  for_type(query, [&](auto zero) {
    using T = decltype(zero);
    const TableEdges<T> edges = arrays.edges<T>(N);
    Attention<T> in{query.data<T>(), key.data<T>(), value.data<T>(), vector.data<T>(), direction.data<T>(), {}};
    const AttentionGradients<T> to{grad_scalar.data<T>(),       grad_vector.data<T>(),
                                   to_query.mutable_data<T>(),  to_key.mutable_data<T>(),
                                   to_value.mutable_data<T>(),  to_vector.mutable_data<T>(),
                                   to_direction.mutable_data<T>()};
    for_packs<T>(C, C / num_heads,
                 {edges.table, in.query, in.key, in.value, in.vector, to.scalar, to.vector, to.to_query, to.to_key,
                  to.to_value, to.to_vector},
                 [&](auto width) {
                   in.heads = deal_heads(C, num_heads, width.value);
                   SlopeSums<T> sums{to_s.mutable_data<T>(), nullptr, nullptr, team_size(N)};
                   const Tensor memory = scratch(query, lay_out(sums, edges, in.heads.num_chunks(), nullptr));
                   lay_out(sums, edges, in.heads.num_chunks(), memory.mutable_data<char>());
                   table_attention_backward<T, width.value>(edges, in, to, sums, device.stream());
                 });
  });
  int64_t position = 0;
  for (Tensor* result : {&to_s, &to_query, &to_key, &to_value, &to_vector, &to_direction})
    stack[position++] = result->release();
}

}  // namespace torchmdnet
