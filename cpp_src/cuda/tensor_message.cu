// Messages between tensors with a weight for each pair, and the adjoint; see cpu/tensor_message.cpp.
#include "tensor_message.cuh"

#include "../tensor_input.h"
#include "graph_arrays.h"

namespace torchmdnet {

// tensor_message(weight, x, sender, row_ptr, pair) -> (9, N, C)
//
// One launch, a warp, or four if atoms are few, for up to 128 channels of an atom, on the current stream, without
// synchronisation; deterministic. Reads 12 C numbers an edge, 3 of the pair and 9 of the sender, in pieces of 16 bytes
// a lane where C is a multiple of as many numbers, and writes 9 C an atom.
void tensor_message_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor weight(stack[0]), x(stack[1]), sender(stack[2]), row_ptr(stack[3]), pair(stack[4]);
  check_message_arrays(weight, x);
  const GraphEdges edges = graph_edges(sender, row_ptr, pair, x.size(1), weight.size(0), x.size(2));
  const OnDevice device({&x, &weight, &sender, &row_ptr, &pair});
  Tensor out = x.empty_like({kComponents, x.size(1), x.size(2)});
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    const T *w = weight.data<T>(), *from = x.data<T>();
    T* to = out.mutable_data<T>();
    for_packs<T>(edges.channels, {w, from, to}, [&](auto width) {
      sum_messages<true, width.value>(edges, w, from, to, device.stream());
    });
  });
  stack[0] = out.release();
}

// tensor_message_weight(x, y, sender, row_ptr, pair, rows) -> (P, 3, C)
//
// Every edge must have its reverse in the list, of the same pair, as in any graph of neighbour_graph; without it the
// pair's row is NaN. Two clears and four launches, a warp, or four if atoms are few, for up to 128 channels of an atom,
// on the current stream, without synchronisation; deterministic, without atomics (see pair_rows.cuh). Reads 18 C numbers
// for every other edge and 18 C, or 36 C where the list has edges from atoms to themselves, an atom, and writes 3 C a
// pair twice.
void tensor_message_weight_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), y(stack[1]), sender(stack[2]), row_ptr(stack[3]), pair(stack[4]), rows(stack[5]);
  check_weight_arrays(x, y, rows);
  const GraphEdges edges = graph_edges(sender, row_ptr, pair, x.size(1), rows.size(0), x.size(2));
  const OnDevice device({&x, &y, &sender, &row_ptr, &pair, &rows});
  Tensor out = x.empty_like({edges.num_pairs, kParts, edges.channels});
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    const MessageTerm<T> in{x.data<T>(), y.data<T>(), edges.plane(), edges.channels};
    PairRows<T> sums{out.mutable_data<T>(), nullptr, 0};
    int32_t* listed;
    const Tensor memory = scratch(x, lay_out(sums, edges, nullptr)),
                 reverses = scratch(x, lay_out_reverses(edges, listed, nullptr));
    lay_out(sums, edges, memory.mutable_data<char>());
    lay_out_reverses(edges, listed, reverses.mutable_data<char>());
    for_packs<T>(edges.channels, {in.x, in.y, sums.rows, sums.of_groups}, [&](auto width) {
      tensor_message_weight<width.value>(edges, listed, in, sums, device.stream());
    });
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
