// The derivative of table_scalar_attention.cpp, letters as there: the gradients by query, key, value (N, C) and s (P,).
//
// An edge and its reverse share their row of the table. So the edges that come in to an atom tell all that it receives
// and all that it sends: it is visited once, nothing is added up for other atoms, and nothing of size E x C is stored.
// The derivative by s is summed over the edges of a pair at the end. An edge reads 12 C numbers of the table and 4 C of
// the neighbour. The order of every sum is fixed: the same bits for any number of threads.
#include <algorithm>
#include <cstring>
#include <vector>

#include "../sigmoid.h"
#include "four_sums.h"
#include "scratch.h"
#include "table_scalar_attention.h"

namespace torchmdnet {
namespace {

constexpr int kRows = 3;  // kept of each edge of a batch, C numbers each: key[j] w, query[j] w, grad[j] u

template <class T>
constexpr int kLanes = 64 / sizeof(T);

template <class T>
struct ScalarGradients {
  T *query, *key, *value, *of_edges;
};

// Space that the visit of an atom needs, one a thread. There are two numbers for each head of each edge of a batch, at
// 2 * (edge * num_heads + head): one of the edge and one of its reverse, or as told.
template <class T>
struct ScalarWorkspace {
  std::vector<TableEdge<T>> edges;
  std::vector<T> rows;            // kRows x C for each edge of a batch
  std::vector<T> weights, grads;  // scores, and derivatives by weights; then weights, and derivatives by scores
  std::vector<T> slopes;          // of the score and of the weighted values of the reverse, by s

  explicit ScalarWorkspace(const ScalarInput<T>& in)
      : rows(kScalarBatch * kRows * in.channels),
        weights(in.batch_numbers(2), T(0)),
        grads(in.batch_numbers(2), T(0)),
        slopes(in.batch_numbers(2), T(0)) {}
};

template <class T>
TMD_INLINE void store_two_and_two(const Lanes<T, 4>& four, T* first, T* second) {
  Lanes<T, 2> halves[2];
  std::memcpy(halves, &four.v, sizeof four.v);
  halves[0].store(first);
  halves[1].store(second);
}

// First pass: sums over heads, both ways, for two edges at a time.
template <class T>
TMD_INLINE void score_batch(const ScalarInput<T>& in, int64_t i, int64_t first, int64_t count,
                            ScalarWorkspace<T>& work) {
  const int64_t C = in.channels, width = in.head_width();
  for (int64_t n = 0; n < count; n += 2) {
    const int64_t two[2] = {n, std::min(n + 1, count - 1)};  // or the same one twice
    for (int64_t head = 0; head < in.num_heads; ++head) {
      Lanes<T, 4> scores[2] = {}, slopes = {};
      for_lanes<T>(head * width, (head + 1) * width, [&](auto lanes, int64_t c) TMD_BODY {
        constexpr int W = decltype(lanes)::value;
        Lanes<T, W> query, key, value, grad, of_score[2], of_value[2];
        query.load(in.query + i * C + c);
        key.load(in.key + i * C + c);
        value.load(in.value + i * C + c);
        grad.load(in.grad + i * C + c);
        for (int k = 0; k < 2; ++k) {
          const TableEdge<T>& edge = work.edges[first + two[k]];
          const int64_t other = edge.sender * C + c;
          T* rows = work.rows.data() + two[k] * kRows * C + c;
          Lanes<T, W> factor, slope, a, b, of_query, of_key, of_sum, of_grad;
          column_value_and_slope<T, W>(in.column(edge.place, 0, c), in.stride(), edge.place.t, factor, slope);
          a.load(in.key + other);
          a.v *= factor.v;
          a.store(rows);
          of_query.v = query.v * a.v;
          a.load(in.query + other);
          b.v = a.v * factor.v;
          b.store(rows + C);
          of_key.v = key.v * b.v;
          of_score[k].v = (key.v * a.v) * slope.v;
          column_value_and_slope<T, W>(in.column(edge.place, 1, c), in.stride(), edge.place.t, factor, slope);
          a.load(in.value + other);
          of_sum.v = (grad.v * a.v) * factor.v;
          a.load(in.grad + other);
          b.v = a.v * factor.v;
          b.store(rows + 2 * C);
          of_grad.v = value.v * b.v;
          of_value[k].v = (value.v * a.v) * slope.v;
          scores[k].v += four_sums(of_query, of_key, of_sum, of_grad).v;
        }
        slopes.v += four_sums(of_score[0], of_value[0], of_score[1], of_value[1]).v;
      });
      T* to_slopes[2];
      for (int k = 0; k < 2; ++k) {
        const int64_t number = 2 * (two[k] * in.num_heads + head);
        store_two_and_two(scores[k], work.weights.data() + number, work.grads.data() + number);
        to_slopes[k] = work.slopes.data() + number;
      }
      store_two_and_two(slopes, to_slopes[0], to_slopes[1]);
    }
  }
}

// Scores to weights, and derivatives by weights to derivatives by scores: psi and its slope.
template <class T>
TMD_INLINE void differentiate_batch(int64_t count, T* weights, T* grads) {
  for (int64_t n = 0; n < count; n += kLanes<T>) {
    Lanes<T, kLanes<T>> x, g, y;
    x.load(weights + n);
    g.load(grads + n);
    y = sigmoid<T, kLanes<T>>(x);
    g.v *= y.v * (T(1) + x.v * (T(1) - y.v));
    y.v *= x.v;
    y.store(weights + n);
    g.store(grads + n);
  }
}

// Of a pair's derivative by s, an edge has the part of what the atom sends; what it receives is with the reverse.
template <class T>
TMD_INLINE void slope_of_batch(const ScalarWorkspace<T>& work, int64_t num_heads, int64_t count, T* to_edges) {
  for (int64_t n = 0; n < count; ++n) {
    T total = 0;
    for (int64_t head = 0; head < num_heads; ++head) {
      const int64_t number = 2 * (n * num_heads + head);
      total += work.grads[number + 1] * work.slopes[number] + work.weights[number + 1] * work.slopes[number + 1];
    }
    to_edges[n] = total;
  }
}

// Second pass, for W channels of one head: adds a batch to the gradients of the atom.
template <class T, int W>
TMD_INLINE void backward_lanes(const ScalarWorkspace<T>& work, int64_t channels, int64_t num_heads, int64_t count,
                               int64_t head, int64_t own, int64_t c, const ScalarGradients<T>& to) {
  Lanes<T, W> to_query, to_key, to_value, row;
  to_query.load(to.query + own);
  to_key.load(to.key + own);
  to_value.load(to.value + own);
  for (int64_t n = 0; n < count; ++n) {
    const int64_t number = 2 * (n * num_heads + head);
    const T* rows = work.rows.data() + n * kRows * channels + c;
    row.load(rows);
    to_query.v += work.grads[number] * row.v;
    row.load(rows + channels);
    to_key.v += work.grads[number + 1] * row.v;
    row.load(rows + 2 * channels);
    to_value.v += work.weights[number + 1] * row.v;
  }
  to_query.store(to.query + own);
  to_key.store(to.key + own);
  to_value.store(to.value + own);
}

template <class T>
TMD_INLINE void backward_rows(const ScalarInput<T>& in, int64_t begin, int64_t end, const ScalarGradients<T>& to) {
  const int64_t C = in.channels, width = in.head_width();
  ScalarWorkspace<T> work(in);
  for (T* array : {to.query, to.key, to.value}) std::fill(array + begin * C, array + end * C, T(0));
  for (int64_t i = begin; i < end; ++i) {
    place_edges(in.s, in.num_intervals, in.edges, i, work.edges);
    const int64_t num_edges = work.edges.size();
    for (int64_t first = 0; first < num_edges; first += kScalarBatch) {
      const int64_t count = std::min(kScalarBatch, num_edges - first);
      score_batch(in, i, first, count, work);
      differentiate_batch(2 * count * in.num_heads, work.weights.data(), work.grads.data());
      slope_of_batch(work, in.num_heads, count, to.of_edges + in.edges.row_ptr[i] + first);
      for (int64_t head = 0; head < in.num_heads; ++head) {
        for_lanes<T>(head * width, (head + 1) * width, [&](auto lanes, int64_t c) TMD_BODY {
          backward_lanes<T, decltype(lanes)::value>(work, C, in.num_heads, count, head, i * C + c, c, to);
        });
      }
    }
  }
}

template <class T>
void backward_cpu(const ScalarInput<T>& in, ScalarGradients<T> to, T* to_s) {
  Scratch<T> of_edges(in.edges.num_edges);
  to.of_edges = of_edges.data();
  parallel_chunks(in.edges.num_atoms, in.edges.atoms_per_task(in.channels),
               [&](int64_t begin, int64_t end) { run<backward_rows<T>>(in, begin, end, to); });
  sum_of_pairs(in.edges, of_edges.data(), to_s);
}

}  // namespace

// table_scalar_attention_backward(grad, table, s, query, key, value, receiver, sender, row_ptr, pair, num_heads)
//   -> s, query, key, value
void table_scalar_attention_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), table(stack[1]), s(stack[2]), query(stack[3]), key(stack[4]), value(stack[5]),
      receiver(stack[6]), sender(stack[7]), row_ptr(stack[8]), pair(stack[9]);
  const ScalarArguments arguments{table, s, query, key, value, sender, row_ptr, pair, argument<int64_t>(stack[10])};
  const Edges edges = arguments.check();
  const int64_t N = query.size(0), C = query.size(1);
  ScalarAttentionTensors{table, s, query, key, value}.check_gradient(grad);
  Tensor to_s = s.empty_like({s.size(0)}), to_query = query.empty_like({N, C}), to_key = query.empty_like({N, C}),
         to_value = query.empty_like({N, C});
  for_type(query, [&](auto type) {
    using T = decltype(type);
    ScalarInput<T> in = arguments.input<T>(edges);
    in.grad = grad.data<T>();
    backward_cpu<T>(in, {to_query.mutable_data<T>(), to_key.mutable_data<T>(), to_value.mutable_data<T>(), nullptr},
                    to_s.mutable_data<T>());
  });
  int64_t position = 0;
  for (Tensor* result : {&to_s, &to_query, &to_key, &to_value}) stack[position++] = result->release();
}

}  // namespace torchmdnet
