// Sums over neighbours with weights that are read from a table (see table_columns.h).
//
// N atoms, E edges sorted by receiver, P pairs, C channels, all arrays contiguous; w(s) is the table (M, 6, C) at s:
//   table_sum           out (N, C): out[i] = sum over edges e of i of  w(s[pair e]) * x[sender e]
//   table_sum_backward  of grad g (N, C), with the derivative w' of w by s:
//     to_x (N, C): to_x[i] = sum over edges e of i of  w(s[pair e]) * g[sender e]
//     to_s (P,):   to_s[p] = sum over edges e of p of  sum over channels  w'(s[p]) * x[receiver e] * g[sender e]
// An edge and its reverse belong to one pair; so the sum is its own adjoint with respect to x.
//
// Nothing of size E x C is stored. Each output is the sum of its terms in a fixed order, by one thread: the same bits
// for any number of threads.
#include <algorithm>
#include <vector>

#include "../edges.h"
#include "../lanes.h"
#include "../table_input.h"
#include "parallel_chunks.h"
#include "scratch.h"
#include "table_columns.h"
#include "table_edges.h"

namespace torchmdnet {
namespace {

template <class T>
constexpr int kLanes = 64 / sizeof(T);

template <class T>
struct SumInput {
  const T *table, *s, *x;
  int32_t num_intervals;
  int64_t channels;
  Edges edges;
};

// W channels of an atom's sum; with slopes, each edge's share of its derivative is added to the lanes of the edge.
template <class T, int W, bool kWithSlopes>
TMD_INLINE void sum_lanes(const SumInput<T>& in, const T* from, const std::vector<TableEdge<T>>& edges, int64_t i,
                          int64_t channel, T* to, T* slopes) {
  const int64_t C = in.channels;
  Lanes<T, W> sum = {}, own, w, dw, value, share;
  own.load(in.x + i * C + channel);
  for (size_t e = 0; e < edges.size(); ++e) {
    const TablePlace<T>& place = edges[e].place;
    const T* at = in.table + place.interval * (kCoefficients * C) + channel;
    if (kWithSlopes)
      column_value_and_slope<T, W>(at, C, place.t, w, dw);
    else
      column_value<T, W>(at, C, place.t, w);
    value.load(from + edges[e].sender * C + channel);
    sum.v += w.v * value.v;
    if (kWithSlopes) {
      share.load(slopes + e * kLanes<T>);
      share.v += dw.v * (own.v * value.v);
      share.store(slopes + e * kLanes<T>);
    }
  }
  sum.store(to + i * C + channel);
}

template <class T, bool kWithSlopes>
TMD_INLINE void sum_rows(const SumInput<T>& in, const T* from, int64_t begin, int64_t end, T* to, T* to_edge) {
  constexpr int W = kLanes<T>;
  std::vector<TableEdge<T>> edges;
  std::vector<T> slopes;
  for (int64_t i = begin; i < end; ++i) {
    place_edges(in.s, in.num_intervals, in.edges, i, edges);
    if (kWithSlopes) slopes.assign(edges.size() * W, T(0));
    for_lanes<T>(0, in.channels, [&](auto lanes, int64_t channel) TMD_BODY {
      sum_lanes<T, decltype(lanes)::value, kWithSlopes>(in, from, edges, i, channel, to, slopes.data());
    });
    for (size_t e = 0; kWithSlopes && e < edges.size(); ++e) {
      Lanes<T, W> total;
      total.load(slopes.data() + e * W);
      to_edge[in.edges.row_ptr[i] + e] = total.sum();
    }
  }
}

template <class T>
SumInput<T> sum_input(const Tensor& table, const Tensor& s, const Tensor& x, const Edges& edges) {
  return {table.data<T>(), s.data<T>(), x.data<T>(), static_cast<int32_t>(table.size(0)), x.size(1), edges};
}

template <class T>
void sum_cpu(const SumInput<T>& in, const Tensor& out) {
  T* to = out.mutable_data<T>();
  parallel_chunks(in.edges.num_atoms, in.edges.atoms_per_task(in.channels), [&](int64_t begin, int64_t end) {
    run<sum_rows<T, false>>(in, in.x, begin, end, to, static_cast<T*>(nullptr));
  });
}

template <class T>
void backward_cpu(const SumInput<T>& in, const Tensor& grad, const Tensor& to_x, const Tensor& to_s) {
  const T* from = grad.data<T>();
  T* to = to_x.mutable_data<T>();
  Scratch<T> of_edges(in.edges.num_edges);
  parallel_chunks(in.edges.num_atoms, in.edges.atoms_per_task(in.channels), [&](int64_t begin, int64_t end) {
    run<sum_rows<T, true>>(in, from, begin, end, to, of_edges.data());
  });
  sum_of_pairs(in.edges, of_edges.data(), to_s.mutable_data<T>());
}

}  // namespace

// table_sum(table, s, x, receiver, sender, row_ptr, pair) -> (N, C)
void table_sum(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor table(stack[0]), s(stack[1]), x(stack[2]), receiver(stack[3]), sender(stack[4]), row_ptr(stack[5]),
      pair(stack[6]);
  check_sum_input(table, s, x);
  const Edges edges = check_edges(sender, row_ptr, pair, x.size(0), s.size(0));
  Tensor out = x.empty_like({x.size(0), x.size(1)});
  for_type(x, [&](auto type) { sum_cpu(sum_input<decltype(type)>(table, s, x, edges), out); });
  stack[0] = out.release();
}

// table_sum_backward(grad, table, s, x, receiver, sender, row_ptr, pair) -> (N, C), (P,)
void table_sum_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), table(stack[1]), s(stack[2]), x(stack[3]), receiver(stack[4]), sender(stack[5]),
      row_ptr(stack[6]), pair(stack[7]);
  check_sum_input(table, s, x);
  check_sum_gradient(grad, x);
  const Edges edges = check_edges(sender, row_ptr, pair, x.size(0), s.size(0));
  Tensor to_x = x.empty_like({x.size(0), x.size(1)}), to_s = x.empty_like({s.size(0)});
  for_type(x, [&](auto type) { backward_cpu(sum_input<decltype(type)>(table, s, x, edges), grad, to_x, to_s); });
  stack[0] = to_x.release();
  stack[1] = to_s.release();
}

}  // namespace torchmdnet
