// Attention over neighbours with factors that are read from a table; see cpu/table_attention.cpp.
#include "table_attention.cuh"

#include "table_arrays.h"

namespace torchmdnet {

// table_attention(table, s, query, key, value, vector, direction, receiver, sender, row_ptr, pair, num_heads)
//   -> (N, C), (N, 3, C)
//
// One launch, a warp, or four if atoms are few, for up to 128 channels of an atom, on the current stream, without
// synchronisation; deterministic. Reads 31 C numbers an edge, 24 of the table and 7 of the sender, in pieces of 16
// bytes a lane where the heads' channels are a multiple of as many numbers, and C an atom, and writes 4 C an atom:
// bound by the L2 cache. Of a head of more than 128 channels, what its score is made of is read again for each 128.
void table_attention_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor table(stack[0]), s(stack[1]), query(stack[2]), key(stack[3]), value(stack[4]), vector(stack[5]),
      direction(stack[6]), receiver(stack[7]), sender(stack[8]), row_ptr(stack[9]), pair(stack[10]);
  const int64_t num_heads = argument<int64_t>(stack[11]);
  AttentionTensors{table, s, query, key, value, vector, direction}.check(sender, num_heads);
  const TableArrays arrays{table, s, receiver, sender, row_ptr, pair};
  arrays.check(query.size(0));
  const OnDevice device(
      {&query, &table, &s, &key, &value, &vector, &direction, &receiver, &sender, &row_ptr, &pair});
  const int64_t N = query.size(0), C = query.size(1);
  Tensor scalar = query.empty_like({N, C}), moved = query.empty_like({N, kAxes, C});
  for_type(query, [&](auto zero) {
    using T = decltype(zero);
    const TableEdges<T> edges = arrays.edges<T>(N);
    Attention<T> in{query.data<T>(), key.data<T>(), value.data<T>(), vector.data<T>(), direction.data<T>(), {}};
    T *to_scalar = scalar.mutable_data<T>(), *to_vector = moved.mutable_data<T>();
    for_packs<T>(C, C / num_heads, {edges.table, in.query, in.key, in.value, in.vector, to_scalar, to_vector},
                 [&](auto width) {
                   in.heads = deal_heads(C, num_heads, width.value);
                   table_attention<T, width.value>(edges, in, to_scalar, to_vector, device.stream());
                 });
  });
  stack[0] = scalar.release();
  stack[1] = moved.release();
}

}  // namespace torchmdnet
