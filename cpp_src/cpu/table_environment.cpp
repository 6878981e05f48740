// The tensor of each atom's surroundings with weights read from a table (see radial_table.h and
// torchmdnet/ops/table_environment.py).
//
// N atoms, E edges sorted by receiver, P pairs, C channels, all arrays contiguous; for an edge e from j to i
// z[e] = own[i] + other[j], and w(s) is the table at coordinate s:
//   forward  out (9, N, C): out[c, i] = sum over edges e of i of  y[e, c] * w(s[pair e])[part c] * z[e]
//   backward of grad (9, N, C), with the derivative w' of w by s: y (E, 9), s (P,)
//
// Nothing of size E x C is stored. The order of every sum is fixed: the same bits for any number of threads.
#include <algorithm>
#include <vector>

#include "../edges.h"
#include "../lanes.h"
#include "../radial_table.h"
#include "../table_input.h"
#include "../torch_abi.h"
#include "parallel_chunks.h"
#include "scratch.h"
#include "table_edges.h"

namespace torchmdnet {
namespace {

template <class T>
struct TableSurroundings {
  const T *table, *s, *y, *own, *other;
  int32_t num_intervals;
  int64_t channels;
  Edges edges;
};

// W channels of one atom; y points to the atom's first edge.
template <class T, int W>
TMD_INLINE void forward_lanes(const TableSurroundings<T>& in, const TableEdge<T>* edges, int64_t count, const T* y,
                              int64_t i, int64_t channel, T* out) {
  const int64_t C = in.channels, plane = in.edges.num_atoms * C;
  Lanes<T, W> sum[kComponents] = {}, w[kParts], own, other;
  own.load(in.own + i * C + channel);
  for (int64_t e = 0; e < count; ++e) {
    const TableEdge<T>& edge = edges[e];
    table_value<T, W>(in.table + edge.place.interval * (kCoefficients * kParts * C) + channel, C, edge.place.t, w);
    other.load(in.other + edge.sender * C + channel);
    for (int k = 0; k < kParts; ++k) w[k].v *= own.v + other.v;
    for (int c = 0; c < kComponents; ++c) sum[c].v += y[e * kComponents + c] * w[kPart[c]].v;
  }
  for (int c = 0; c < kComponents; ++c) sum[c].store(out + c * plane + i * C + channel);
}

template <class T>
TMD_INLINE void forward_rows(const TableSurroundings<T>& in, int64_t begin, int64_t end, T* out) {
  constexpr int W = 64 / sizeof(T);
  std::vector<TableEdge<T>> edges;
  for (int64_t i = begin; i < end; ++i) {
    place_edges(in.s, in.num_intervals, in.edges, i, edges);
    const T* y = in.y + int64_t(in.edges.row_ptr[i]) * kComponents;
    int64_t channel = 0;
    for (; channel + W <= in.channels; channel += W)
      forward_lanes<T, W>(in, edges.data(), edges.size(), y, i, channel, out);
    for (; channel < in.channels; ++channel)
      forward_lanes<T, 1>(in, edges.data(), edges.size(), y, i, channel, out);
  }
}

// Adds W channels' share of the derivatives by an edge's y and s.
template <class T, int W>
TMD_INLINE void backward_lanes(const TableSurroundings<T>& in, const T* grad, const TableEdge<T>& edge, const T* y,
                               int64_t i, int64_t channel, Lanes<T, W>* of_y, Lanes<T, W>& of_s) {
  const int64_t C = in.channels, plane = in.edges.num_atoms * C;
  const T* rows = in.table + edge.place.interval * (kCoefficients * kParts * C) + channel;
  Lanes<T, W> z, other, w[kParts], dw[kParts], turned[kParts] = {}, g;
  table_value_and_slope<T, W>(rows, C, edge.place.t, w, dw);
  z.load(in.own + i * C + channel);
  other.load(in.other + edge.sender * C + channel);
  z.v += other.v;
  for (int k = 0; k < kParts; ++k) w[k].v *= z.v;
  for (int c = 0; c < kComponents; ++c) {
    g.load(grad + c * plane + i * C + channel);
    of_y[c].v += g.v * w[kPart[c]].v;
    turned[kPart[c]].v += y[c] * g.v;
  }
  for (int k = 0; k < kParts; ++k) of_s.v += turned[k].v * dw[k].v * z.v;
}

template <class T>
TMD_INLINE void backward_rows(const TableSurroundings<T>& in, const T* grad, int64_t begin, int64_t end, T* to_y,
                              T* to_edge) {
  constexpr int W = 64 / sizeof(T);
  std::vector<TableEdge<T>> edges;
  for (int64_t i = begin; i < end; ++i) {
    place_edges(in.s, in.num_intervals, in.edges, i, edges);
    for (size_t e = 0; e < edges.size(); ++e) {
      const int64_t number = in.edges.row_ptr[i] + static_cast<int64_t>(e);
      const T* y = in.y + number * kComponents;
      Lanes<T, W> of_y[kComponents] = {}, of_s = {};
      Lanes<T, 1> rest_y[kComponents] = {}, rest_s = {};
      int64_t channel = 0;
      for (; channel + W <= in.channels; channel += W)
        backward_lanes<T, W>(in, grad, edges[e], y, i, channel, of_y, of_s);
      for (; channel < in.channels; ++channel)
        backward_lanes<T, 1>(in, grad, edges[e], y, i, channel, rest_y, rest_s);
      for (int c = 0; c < kComponents; ++c) to_y[number * kComponents + c] = of_y[c].sum() + rest_y[c].v;
      to_edge[number] = of_s.sum() + rest_s.v;
    }
  }
}

struct Arguments {
  const Tensor &table, &s, &y, &own, &other, &sender, &row_ptr, &pair;

  // Refuses wrong types and shapes, and edges out of range.
  Edges check() const {
    check_environment_input(table, s, y, own, other, sender);
    return check_edges(sender, row_ptr, pair, own.size(0), s.size(0));
  }

  template <class T>
  TableSurroundings<T> input(const Edges& edges) const {
    return {table.data<T>(), s.data<T>(),    y.data<T>(), own.data<T>(), other.data<T>(),
            static_cast<int32_t>(table.size(0)), own.size(1), edges};
  }
};

template <class T>
void forward_cpu(const TableSurroundings<T>& in, const Tensor& out) {
  T* to = out.mutable_data<T>();
  parallel_chunks(in.edges.num_atoms, in.edges.atoms_per_task(in.channels),
               [&](int64_t begin, int64_t end) { run<forward_rows<T>>(in, begin, end, to); });
}

template <class T>
void backward_cpu(const TableSurroundings<T>& in, const Tensor& grad, const Tensor& to_y, const Tensor& to_s) {
  const T* from = grad.data<T>();
  T* to = to_y.mutable_data<T>();
  const int64_t num_filled = in.edges.row_ptr[in.edges.num_atoms];
  std::fill(to + num_filled * kComponents, to + in.edges.num_edges * kComponents, T(0));
  Scratch<T> of_edges(in.edges.num_edges);
  parallel_chunks(in.edges.num_atoms, in.edges.atoms_per_task(in.channels), [&](int64_t begin, int64_t end) {
    run<backward_rows<T>>(in, from, begin, end, to, of_edges.data());
  });
  sum_of_pairs(in.edges, of_edges.data(), to_s.mutable_data<T>());
}

}  // namespace

// table_environment(table, s, y, own, other, receiver, sender, row_ptr, pair) -> (9, N, C)
void table_environment(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor table(stack[0]), s(stack[1]), y(stack[2]), own(stack[3]), other(stack[4]), receiver(stack[5]),
      sender(stack[6]), row_ptr(stack[7]), pair(stack[8]);
  const Arguments arguments{table, s, y, own, other, sender, row_ptr, pair};
  const Edges edges = arguments.check();
  Tensor out = own.empty_like({kComponents, own.size(0), own.size(1)});
  for_type(y, [&](auto type) { forward_cpu(arguments.input<decltype(type)>(edges), out); });
  stack[0] = out.release();
}

// table_environment_backward(grad, table, s, y, own, other, receiver, sender, row_ptr, pair) -> (E, 9), (P,)
void table_environment_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), table(stack[1]), s(stack[2]), y(stack[3]), own(stack[4]), other(stack[5]),
      receiver(stack[6]), sender(stack[7]), row_ptr(stack[8]), pair(stack[9]);
  const Arguments arguments{table, s, y, own, other, sender, row_ptr, pair};
  const Edges edges = arguments.check();
  check_environment_gradient(grad, own);
  Tensor to_y = y.empty_like({y.size(0), kComponents}), to_s = y.empty_like({s.size(0)});
  for_type(y, [&](auto type) { backward_cpu(arguments.input<decltype(type)>(edges), grad, to_y, to_s); });
  stack[0] = to_y.release();
  stack[1] = to_s.release();
}

}  // namespace torchmdnet
