// Messages between tensors of 1 + 3 + 5 components whose weights are read from a table (see radial_table.h).
//
// N atoms, E edges sorted by receiver, P pairs, C channels, all arrays contiguous; w(s) is the table at coordinate s:
//   table_message           out (9, N, C): out[c, i] = sum over edges e of i of  w(s[pair e])[part c] * x[c, sender e]
//   table_message_backward  of grad g (9, N, C), with the derivative w' of w by s:
//     to_x (9, N, C): to_x[c, i] = sum over edges e of i of  w(s[pair e])[part c] * g[c, sender e]
//     to_s (P,):      to_s[p] = sum over edges e of p of  sum over c  w'(s[p])[part c] * x[c, receiver e] * g[c, sender e]
// An edge and its reverse belong to one pair; so the message is its own adjoint with respect to x.
//
// Nothing of size E x C is stored. An edge reads 12 C numbers of the table, most of them from the cache because
// distances repeat, and 9 C of the sender. Each output is the sum of its terms in the order of the edges, by one thread:
// the same bits for any number of threads.
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
struct TableInput {
  const T *table, *s, *x;
  int32_t num_intervals;
  int64_t channels;
  Edges edges;
};

template <class T, int W>
TMD_INLINE void message_lanes(const TableInput<T>& in, const TableEdge<T>* edges, int64_t count, int64_t i,
                              int64_t channel, T* out) {
  const int64_t C = in.channels, plane = in.edges.num_atoms * C;
  Lanes<T, W> sum[kComponents] = {}, w[kParts], value;
  for (int64_t e = 0; e < count; ++e) {
    const TableEdge<T>& edge = edges[e];
    table_value<T, W>(in.table + edge.place.interval * (kCoefficients * kParts * C) + channel, C, edge.place.t, w);
    const T* from = in.x + edge.sender * C + channel;
    for (int c = 0; c < kComponents; ++c) {
      value.load(from + c * plane);
      sum[c].v += w[kPart[c]].v * value.v;
    }
  }
  for (int c = 0; c < kComponents; ++c) sum[c].store(out + c * plane + i * C + channel);
}

template <class T>
TMD_INLINE void message_rows(const TableInput<T>& in, int64_t begin, int64_t end, T* out) {
  constexpr int W = 64 / sizeof(T);
  std::vector<TableEdge<T>> edges;
  for (int64_t i = begin; i < end; ++i) {
    place_edges(in.s, in.num_intervals, in.edges, i, edges);
    int64_t channel = 0;
    for (; channel + W <= in.channels; channel += W)
      message_lanes<T, W>(in, edges.data(), edges.size(), i, channel, out);
    for (; channel < in.channels; ++channel) message_lanes<T, 1>(in, edges.data(), edges.size(), i, channel, out);
  }
}

// Adds the channels' share of an edge's slope to W numbers of the edge in `slope`.
template <class T, int W>
TMD_INLINE void backward_lanes(const TableInput<T>& in, const T* grad, const TableEdge<T>* edges, int64_t count,
                               int64_t i, int64_t channel, T* to_x, T* slope) {
  const int64_t C = in.channels, plane = in.edges.num_atoms * C;
  Lanes<T, W> sum[kComponents] = {}, own[kComponents], w[kParts], dw[kParts];
  for (int c = 0; c < kComponents; ++c) own[c].load(in.x + c * plane + i * C + channel);
  for (int64_t e = 0; e < count; ++e) {
    const TableEdge<T>& edge = edges[e];
    const T* rows = in.table + edge.place.interval * (kCoefficients * kParts * C) + channel;
    table_value_and_slope<T, W>(rows, C, edge.place.t, w, dw);
    const T* from = grad + edge.sender * C + channel;
    Lanes<T, W> product[kParts] = {}, total, value;
    for (int c = 0; c < kComponents; ++c) {
      value.load(from + c * plane);
      sum[c].v += w[kPart[c]].v * value.v;
      product[kPart[c]].v += own[c].v * value.v;
    }
    total.load(slope + e * (64 / sizeof(T)));
    for (int k = 0; k < kParts; ++k) total.v += dw[k].v * product[k].v;
    total.store(slope + e * (64 / sizeof(T)));
  }
  for (int c = 0; c < kComponents; ++c) sum[c].store(to_x + c * plane + i * C + channel);
}

template <class T>
TMD_INLINE void backward_rows(const TableInput<T>& in, const T* grad, int64_t begin, int64_t end, T* to_x, T* to_edge) {
  constexpr int W = 64 / sizeof(T);
  std::vector<TableEdge<T>> edges;
  std::vector<T> slope;
  for (int64_t i = begin; i < end; ++i) {
    place_edges(in.s, in.num_intervals, in.edges, i, edges);
    slope.assign(edges.size() * W, T(0));
    int64_t channel = 0;
    for (; channel + W <= in.channels; channel += W)
      backward_lanes<T, W>(in, grad, edges.data(), edges.size(), i, channel, to_x, slope.data());
    for (; channel < in.channels; ++channel)
      backward_lanes<T, 1>(in, grad, edges.data(), edges.size(), i, channel, to_x, slope.data());
    for (size_t e = 0; e < edges.size(); ++e) {
      Lanes<T, W> total;
      total.load(slope.data() + e * W);
      to_edge[in.edges.row_ptr[i] + e] = total.sum();
    }
  }
}

// Table, coordinates and x as the ops take them.
template <class T>
TableInput<T> table_input(const Tensor& table, const Tensor& s, const Tensor& x, const Edges& edges) {
  return {table.data<T>(), s.data<T>(), x.data<T>(), static_cast<int32_t>(table.size(0)), x.size(2), edges};
}

Edges check_input(const Tensor& table, const Tensor& s, const Tensor& x, const Tensor& sender, const Tensor& row_ptr,
                  const Tensor& pair) {
  check_message_input(table, s, x);
  return check_edges(sender, row_ptr, pair, x.size(1), s.size(0));
}

template <class T>
void message_cpu(const TableInput<T>& in, const Tensor& out) {
  T* to = out.mutable_data<T>();
  parallel_chunks(in.edges.num_atoms, in.edges.atoms_per_task(in.channels),
               [&](int64_t begin, int64_t end) { run<message_rows<T>>(in, begin, end, to); });
}

template <class T>
void backward_cpu(const TableInput<T>& in, const Tensor& grad, const Tensor& to_x, const Tensor& to_s) {
  const T* from = grad.data<T>();
  T* to = to_x.mutable_data<T>();
  Scratch<T> of_edges(in.edges.num_edges);
  parallel_chunks(in.edges.num_atoms, in.edges.atoms_per_task(in.channels), [&](int64_t begin, int64_t end) {
    run<backward_rows<T>>(in, from, begin, end, to, of_edges.data());
  });
  sum_of_pairs(in.edges, of_edges.data(), to_s.mutable_data<T>());
}

}  // namespace

// table_message(table, s, x, receiver, sender, row_ptr, pair) -> (9, N, C)
void table_message(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor table(stack[0]), s(stack[1]), x(stack[2]), receiver(stack[3]), sender(stack[4]), row_ptr(stack[5]),
      pair(stack[6]);
  const Edges edges = check_input(table, s, x, sender, row_ptr, pair);
  Tensor out = x.empty_like({kComponents, x.size(1), x.size(2)});
  for_type(x, [&](auto type) { message_cpu(table_input<decltype(type)>(table, s, x, edges), out); });
  stack[0] = out.release();
}

// table_message_backward(grad, table, s, x, receiver, sender, row_ptr, pair) -> (9, N, C), (P,)
void table_message_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), table(stack[1]), s(stack[2]), x(stack[3]), receiver(stack[4]), sender(stack[5]),
      row_ptr(stack[6]), pair(stack[7]);
  const Edges edges = check_input(table, s, x, sender, row_ptr, pair);
  check_message_gradient(grad, x);
  Tensor to_x = x.empty_like({kComponents, x.size(1), x.size(2)}), to_s = x.empty_like({s.size(0)});
  for_type(x, [&](auto type) { backward_cpu(table_input<decltype(type)>(table, s, x, edges), grad, to_x, to_s); });
  stack[0] = to_x.release();
  stack[1] = to_s.release();
}

}  // namespace torchmdnet
