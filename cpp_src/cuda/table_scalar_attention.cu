// Attention over neighbours of scalars alone, with factors that are read from a table, and its derivative; see
// cpu/table_scalar_attention.cpp.
#include "table_scalar_attention.cuh"

#include "table_arrays.h"

namespace torchmdnet {

// table_scalar_attention(table, s, query, key, value, receiver, sender, row_ptr, pair, num_heads) -> (N, C)
//
// One launch, a warp, or four if atoms are few, for up to 128 channels of an atom, on the current stream, without
// synchronisation; deterministic. Reads 14 C numbers an edge, 12 of the table and 2 of the sender, and C an atom, and
// writes C an atom: bound by the L2 cache.
void table_scalar_attention_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor table(stack[0]), s(stack[1]), query(stack[2]), key(stack[3]), value(stack[4]), receiver(stack[5]),
      sender(stack[6]), row_ptr(stack[7]), pair(stack[8]);
  const int64_t num_heads = argument<int64_t>(stack[9]);
  ScalarAttentionTensors{table, s, query, key, value}.check(num_heads);
  const TableArrays arrays{table, s, receiver, sender, row_ptr, pair};
  arrays.check(query.size(0));
  const OnDevice device({&query, &table, &s, &key, &value, &receiver, &sender, &row_ptr, &pair});
  const int64_t N = query.size(0), C = query.size(1);
  Tensor out = query.empty_like({N, C});
  for_type(query, [&](auto zero) {
    using T = decltype(zero);
    const TableEdges<T> edges = arrays.edges<T>(N);
    ScalarAttention<T> in{query.data<T>(), key.data<T>(), value.data<T>(), {}};
    T* to = out.mutable_data<T>();
    for_packs<T>(C, C / num_heads, {edges.table, in.query, in.key, in.value, to}, [&](auto width) {
      in.heads = deal_heads(C, num_heads, width.value);
      scalar_attention<T, width.value>(edges, in, to, device.stream());
    });
  });
  stack[0] = out.release();
}

// table_scalar_attention_backward(grad, table, s, query, key, value, receiver, sender, row_ptr, pair, num_heads)
//   -> s, query, key, value
//
// A clear and two launches, a warp, or four if atoms are few, an atom, on the current stream, without synchronisation;
// deterministic (see slope_sums.cuh). Reads 16 C numbers an edge, 12 of the table and 4 of the sender, and 4 C an atom,
// writes 3 C an atom and does one atomic an edge. C of more than 128 is gone through in chunks, with a number an edge of
// workspace between them.
void table_scalar_attention_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), table(stack[1]), s(stack[2]), query(stack[3]), key(stack[4]), value(stack[5]),
      receiver(stack[6]), sender(stack[7]), row_ptr(stack[8]), pair(stack[9]);
  const int64_t num_heads = argument<int64_t>(stack[10]);
  const ScalarAttentionTensors tensors{table, s, query, key, value};
  tensors.check(num_heads);
  tensors.check_gradient(grad);
  const TableArrays arrays{table, s, receiver, sender, row_ptr, pair};
  arrays.check(query.size(0));
  const OnDevice device({&query, &grad, &table, &s, &key, &value, &receiver, &sender, &row_ptr, &pair});
  const int64_t N = query.size(0), C = query.size(1);
  Tensor to_s = s.empty_like({s.size(0)}), to_query = query.empty_like({N, C}), to_key = query.empty_like({N, C}),
         to_value = query.empty_like({N, C});
  for_type(query, [&](auto zero) {
    using T = decltype(zero);
    const TableEdges<T> edges = arrays.edges<T>(N);
    ScalarAttention<T> in{query.data<T>(), key.data<T>(), value.data<T>(), {}};
    const ScalarGradients<T> to{grad.data<T>(), to_query.mutable_data<T>(), to_key.mutable_data<T>(),
                                to_value.mutable_data<T>()};
    for_packs<T>(C, C / num_heads,
                 {edges.table, in.query, in.key, in.value, to.scalar, to.to_query, to.to_key, to.to_value},
                 [&](auto width) {
                   in.heads = deal_heads(C, num_heads, width.value);
                   SlopeSums<T> sums{to_s.mutable_data<T>(), nullptr, nullptr, team_size(N)};
                   const Tensor memory = scratch(query, lay_out(sums, edges, in.heads.num_chunks(), nullptr));
                   lay_out(sums, edges, in.heads.num_chunks(), memory.mutable_data<char>());
                   scalar_attention_backward<T, width.value>(edges, in, to, sums, device.stream());
                 });
  });
  int64_t position = 0;
  for (Tensor* result : {&to_s, &to_query, &to_key, &to_value}) stack[position++] = result->release();
}

}  // namespace torchmdnet
