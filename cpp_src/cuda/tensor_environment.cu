// The tensor of each atom's surroundings with a weight for each pair, and its adjoints; see cpu/tensor_environment.cpp.
#include "tensor_environment.cuh"

#include "../tensor_input.h"
#include "graph_arrays.h"

namespace torchmdnet {

// tensor_environment(y, weight, own, other, sender, row_ptr, pair) -> (9, N, C)
//
// One launch, a warp, or four if atoms are few, for up to 128 channels of an atom, on the current stream, without
// synchronisation; deterministic. Reads 4 C numbers an edge, 3 of the pair and one of the sender, and writes 9 C an
// atom.
void tensor_environment_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor y(stack[0]), weight(stack[1]), own(stack[2]), other(stack[3]), sender(stack[4]), row_ptr(stack[5]),
      pair(stack[6]);
  check_surroundings(y, weight, own, other, sender);
  const GraphEdges edges = graph_edges(sender, row_ptr, pair, own.size(0), weight.size(0), own.size(1));
  const OnDevice device({&y, &weight, &own, &other, &sender, &row_ptr, &pair});
  Tensor out = own.empty_like({kComponents, own.size(0), own.size(1)});
  for_type(own, [&](auto zero) {
    using T = decltype(zero);
    const PairSurroundings<T> in{y.data<T>(), weight.data<T>(), own.data<T>(), other.data<T>()};
    T* to = out.mutable_data<T>();
    for_packs<T>(edges.channels, {in.weight, in.own, in.other, to}, [&](auto width) {
      tensor_environment<width.value>(edges, in, to, device.stream());
    });
  });
  stack[0] = out.release();
}

// tensor_environment_backward(grad, y, weight, own, other, sender, row_ptr, pair)
//   -> (E, 9), (P, 3, C), (N, C), (N, C)
//
// Every edge must have its reverse in the list, of the same pair, as in any graph of neighbour_graph; one that has none
// makes the results of its atom NaN. Two clears and four launches, a warp, or four if atoms are few, an atom, on the
// current stream, without synchronisation; deterministic, without atomics (see pair_rows.cuh). Reads 14 C numbers an
// edge, 3 of the pair and 11 of the sender, and writes 3 C a pair twice and 2 C an atom.
void tensor_environment_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), y(stack[1]), weight(stack[2]), own(stack[3]), other(stack[4]), sender(stack[5]),
      row_ptr(stack[6]), pair(stack[7]);
  check_surroundings(y, weight, own, other, sender);
  check_surroundings_gradient(grad, own);
  const GraphEdges edges = graph_edges(sender, row_ptr, pair, own.size(0), weight.size(0), own.size(1));
  const OnDevice device({&y, &grad, &weight, &own, &other, &sender, &row_ptr, &pair});
  Tensor to_y = y.empty_like({y.size(0), kComponents}), to_own = own.empty_like({own.size(0), own.size(1)}),
         to_other = own.empty_like({own.size(0), own.size(1)}),
         to_weight = own.empty_like({weight.size(0), kParts, weight.size(2)});
  for_type(own, [&](auto zero) {
    using T = decltype(zero);
    const PairSurroundings<T> arrays{y.data<T>(), weight.data<T>(), own.data<T>(), other.data<T>()};
    const EnvironmentTerm<T> in{arrays, grad.data<T>(), edges.plane(), edges.channels};
    const EnvironmentGradients<T> to{to_y.mutable_data<T>(), to_own.mutable_data<T>(), to_other.mutable_data<T>()};
    int32_t* listed;
    PairRows<T> rows{to_weight.mutable_data<T>(), nullptr, 0};
    const Tensor memory = scratch(own, lay_out(rows, edges, nullptr)),
                 reverses = scratch(own, lay_out_reverses(edges, listed, nullptr));
    lay_out(rows, edges, memory.mutable_data<char>());
    lay_out_reverses(edges, listed, reverses.mutable_data<char>());
    for_packs<T>(edges.channels,
                 {arrays.weight, arrays.own, arrays.other, in.grad, to.own, to.other, rows.rows, rows.of_groups},
                 [&](auto width) {
                   tensor_environment_backward<width.value>(edges, listed, in, to, rows, device.stream());
                 });
  });
  stack[0] = to_y.release();
  stack[1] = to_weight.release();
  stack[2] = to_own.release();
  stack[3] = to_other.release();
}

}  // namespace torchmdnet
