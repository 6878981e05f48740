// Messages between tensors with a weight for each edge, and their adjoints; see cpu/edge_message.cpp.
#include "edge_message.cuh"

#include "../tensor_input.h"
#include "graph_arrays.h"

namespace torchmdnet {
namespace {

// How many pairs there are is not said; each has an edge, so that their numbers are below the number of edges.
GraphEdges numbered_edges(const Tensor& sender, const Tensor& row_ptr, const Tensor& pair, const Tensor& x) {
  return graph_edges(sender, row_ptr, pair, x.size(1), sender.size(0), x.size(2));
}

}  // namespace

// edge_message(weight, x, receiver, sender, row_ptr, pair) -> (9, N, C)
//
// One launch, a warp, or four if atoms are few, for up to 128 channels of an atom, on the current stream, without
// synchronisation; deterministic. Reads 12 C numbers an edge, 3 of its own and 9 of the sender, in pieces of 16 bytes a
// lane where C is a multiple of as many numbers, and writes 9 C an atom.
void edge_message_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor weight(stack[0]), x(stack[1]), receiver(stack[2]), sender(stack[3]), row_ptr(stack[4]), pair(stack[5]);
  check_edge_message_arrays(weight, x, sender);
  const GraphEdges edges = numbered_edges(sender, row_ptr, pair, x);
  const OnDevice device({&x, &weight, &receiver, &sender, &row_ptr, &pair});
  Tensor out = x.empty_like({kComponents, x.size(1), x.size(2)});
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    const T *w = weight.data<T>(), *from = x.data<T>();
    T* to = out.mutable_data<T>();
    for_packs<T>(edges.channels, {w, from, to}, [&](auto width) {
      sum_messages<false, width.value>(edges, w, from, to, device.stream());
    });
  });
  stack[0] = out.release();
}

// edge_message_transpose(weight, y, receiver, sender, row_ptr, pair) -> (9, N, C)
//
// A clear and two launches, else as edge_message; 8 bytes an edge of workspace. Every edge must have its reverse in the
// list, of the same pair, as in any graph of neighbour_graph; one that has none makes the results of its atom NaN.
void edge_message_transpose_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor weight(stack[0]), y(stack[1]), receiver(stack[2]), sender(stack[3]), row_ptr(stack[4]), pair(stack[5]);
  check_edge_message_arrays(weight, y, sender);
  GraphEdges edges = numbered_edges(sender, row_ptr, pair, y);
  const OnDevice device({&y, &weight, &receiver, &sender, &row_ptr, &pair});
  Tensor out = y.empty_like({kComponents, y.size(1), y.size(2)});
  int32_t* listed;
  const Tensor reverses = scratch(y, lay_out_reverses(edges, listed, nullptr));
  lay_out_reverses(edges, listed, reverses.mutable_data<char>());
  list_reverses(edges, listed, device.stream());
  edges.listed = listed;
  for_type(y, [&](auto zero) {
    using T = decltype(zero);
    const T *w = weight.data<T>(), *from = y.data<T>();
    T* to = out.mutable_data<T>();
    for_packs<T>(edges.channels, {w, from, to}, [&](auto width) {
      sum_messages<false, width.value>(edges, w, from, to, device.stream());
    });
  });
  stack[0] = out.release();
}

// edge_message_weight(x, y, receiver, sender, row_ptr, pair) -> (E, 3, C)
//
// One launch, a warp, or four if atoms are few, for up to 128 channels of an atom, on the current stream, without
// synchronisation; deterministic. Reads 9 C numbers an edge and 9 C an atom, and writes 3 C an edge.
void edge_message_weight_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), y(stack[1]), receiver(stack[2]), sender(stack[3]), row_ptr(stack[4]), pair(stack[5]);
  check_weight_arrays(x, y, sender);
  const GraphEdges edges = numbered_edges(sender, row_ptr, pair, x);
  const OnDevice device({&x, &y, &receiver, &sender, &row_ptr, &pair});
  Tensor out = x.empty_like({edges.num_edges, kParts, edges.channels});
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    const T *a = x.data<T>(), *b = y.data<T>();
    T* to = out.mutable_data<T>();
    for_packs<T>(edges.channels, {a, b, to}, [&](auto width) {
      edge_message_weight<width.value>(edges, a, b, to, device.stream());
    });
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
