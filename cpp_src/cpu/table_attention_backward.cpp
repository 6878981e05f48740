// The derivative of table_attention.cpp; letters as there. Of gradients g (N, C) of scalar and G (N, 3, C) of vector:
//   query (N, C), key (N, C), value (N, 3 C), vector (N, 3, C), direction (E, 3), s (P,)
//
// An edge from j to i and its reverse share their row of the table, and their directions are opposite. So the edges
// that come in to an atom tell all that it receives and all that it sends: it is visited once, nothing is added up for
// other atoms, and nothing of size E x C is stored. The derivative by s is summed over the edges of a pair at the end.
// An edge reads 24 C numbers of the table and 8 C of the neighbour. The order of every sum is fixed: the same bits for
// any number of threads.
#include "table_attention.h"

#include <algorithm>
#include <vector>

#include "../sigmoid.h"
#include "scratch.h"

namespace torchmdnet {
namespace {

constexpr int kBatch = 8;  // edges whose factors stay in the cache between the two passes
constexpr int kShares = 1 + kAxes;  // of an edge: derivatives by s and by the direction

template <class T>
constexpr int kLanes = 64 / sizeof(T);

template <class T>
struct AttentionGradients {
  T *query, *key, *value, *vector, *direction, *slope;
};

// Space that the visit of an atom needs, one a thread. A number of a head and edge is at [edge * num_heads + head].
template <class T>
struct Workspace {
  std::vector<TableEdge<T>> edges;
  std::vector<T> factors;              // of a batch: w0, its slope, w1, its slope, C channels each
  std::vector<T> in_score, in_grad;    // of the score of an edge, and of its weight; then of the score
  std::vector<T> out_score, out_grad;  // the same of its reverse; in_score and out_score then are weights
  std::vector<T> shares;               // of an edge: kShares lanes
  std::vector<T> sums;                 // of the atom: kSums x C

  Workspace(int64_t channels, int64_t num_heads) {
    const int64_t numbers = (kBatch * num_heads + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
    for (std::vector<T>* of_heads : {&in_score, &in_grad, &out_score, &out_grad}) of_heads->assign(numbers, T(0));
    factors.resize(kBatch * 4 * channels);
  }
};

// What is summed over an atom's edges: derivatives by query, key and first and last value, and sum of G w2.
enum { kQuery, kKey, kValue1, kValue3, kCarried, kSums = kCarried + kAxes };

// First pass: for each head the scores of an edge and its reverse, and the derivatives by their weights.
template <class T>
TMD_INLINE void score_batch(const AttentionInput<T>& in, int64_t i, int64_t first, int64_t count, Workspace<T>& work) {
  const int64_t C = in.channels, width = in.head_width();
  const T *query = in.query + i * C, *key = in.key + i * C, *grad = in.grad_scalar + i * C;
  const T* value = in.value + i * kValues * C;
  for (int64_t n = 0; n < count; ++n) {
    const TableEdge<T>& edge = work.edges[first + n];
    const int64_t j = edge.sender;
    T* factors = work.factors.data() + n * 4 * C;
    for (int64_t head = 0; head < in.num_heads; ++head) {
      T in_score = 0, in_grad = 0, out_score = 0, out_grad = 0;
      for_lanes<T>(head * width, (head + 1) * width, [&](auto lanes, int64_t c) TMD_BODY {
        constexpr int W = decltype(lanes)::value;
        Lanes<T, W> w0, w1, slope, a, b;
        const auto product = [&](const T* x, const T* y, const Lanes<T, W>& w) TMD_BODY {
          a.load(x + c);
          b.load(y + c);
          a.v *= b.v * w.v;
          return a.sum();
        };
        column_value_and_slope<T, W>(in.column(edge.place, 0, c), in.stride(), edge.place.t, w0, slope);
        w0.store(factors + c);
        slope.store(factors + C + c);
        in_score += product(query, in.key + j * C, w0);
        out_score += product(in.query + j * C, key, w0);
        column_value_and_slope<T, W>(in.column(edge.place, 1, c), in.stride(), edge.place.t, w1, slope);
        w1.store(factors + 2 * C + c);
        slope.store(factors + 3 * C + c);
        in_grad += product(grad, in.value + j * kValues * C, w1);
        out_grad += product(in.grad_scalar + j * C, value, w1);
      });
      const int64_t at = n * in.num_heads + head;
      work.in_score[at] = in_score;
      work.in_grad[at] = in_grad;
      work.out_score[at] = out_score;
      work.out_grad[at] = out_grad;
    }
  }
}

// Scores to weights, and derivatives by weights to derivatives by scores: psi and its slope.
template <class T>
TMD_INLINE void activate_batch(int64_t count, T* score, T* grad) {
  constexpr int W = kLanes<T>;
  for (int64_t n = 0; n < count; n += W) {
    Lanes<T, W> x, g, y;
    x.load(score + n);
    g.load(grad + n);
    y = sigmoid<T, W>(x);
    g.v *= y.v * (T(1) + x.v * (T(1) - y.v));
    y.v *= x.v;
    y.store(score + n);
    g.store(grad + n);
  }
}

// Second pass, for W channels of one head: adds a batch to the sums of the atom and to the shares of the edges.
template <class T, int W>
TMD_INLINE void backward_lanes(const AttentionInput<T>& in, int64_t i, int64_t first, int64_t count, int64_t head,
                               int64_t c, Workspace<T>& work) {
  const int64_t C = in.channels;
  const T* directions = in.direction + (in.edges.row_ptr[i] + first) * kAxes;
  Lanes<T, W> sum[kSums], own_key, own_value[kValues], own_vector[kAxes], own_grad[kAxes];
  for (int n = 0; n < kSums; ++n) sum[n].load(work.sums.data() + n * C + c);
  own_key.load(in.key + i * C + c);
  for (int n = 0; n < kValues; ++n) own_value[n].load(in.value + (i * kValues + n) * C + c);
  for (int x = 0; x < kAxes; ++x) own_vector[x].load(in.vector + (i * kAxes + x) * C + c);
  for (int x = 0; x < kAxes; ++x) own_grad[x].load(in.grad_vector + (i * kAxes + x) * C + c);
  for (int64_t n = 0; n < count; ++n) {
    const TableEdge<T>& edge = work.edges[first + n];
    const int64_t j = edge.sender, number = n * in.num_heads + head;
    const T* factors = work.factors.data() + n * 4 * C + c;
    T* share = work.shares.data() + (first + n) * kShares * kLanes<T>;
    const T *u = directions + n * kAxes, to_score = work.out_grad[number], weight = work.out_score[number];
    Lanes<T, W> w, dw, a, b, slope, grad[kAxes], along = {}, across = {};
    slope.load(share);
    // Keys.
    w.load(factors);
    dw.load(factors + C);
    a.load(in.key + j * C + c);
    sum[kQuery].v += work.in_grad[number] * (a.v * w.v);
    a.load(in.query + j * C + c);
    a.v *= to_score;
    sum[kKey].v += a.v * w.v;
    slope.v += dw.v * (a.v * own_key.v);
    // Values of the scalars.
    w.load(factors + 2 * C);
    dw.load(factors + 3 * C);
    a.load(in.grad_scalar + j * C + c);
    a.v *= weight;
    sum[kValue1].v += a.v * w.v;
    slope.v += dw.v * (a.v * own_value[0].v);
    // Values along the atom's vectors.
    column_value_and_slope<T, W>(in.column(edge.place, 2, c), in.stride(), edge.place.t, w, dw);
    for (int x = 0; x < kAxes; ++x) {
      grad[x].load(in.grad_vector + (j * kAxes + x) * C + c);
      sum[kCarried + x].v += grad[x].v * w.v;
      along.v += grad[x].v * own_vector[x].v;
      across.v -= grad[x].v * u[x];  // the direction of the reverse
    }
    slope.v += dw.v * (along.v * own_value[1].v);
    // Values along the direction.
    column_value_and_slope<T, W>(in.column(edge.place, 3, c), in.stride(), edge.place.t, w, dw);
    sum[kValue3].v += across.v * w.v;
    slope.v += dw.v * (across.v * own_value[2].v);
    slope.store(share);
    a.load(in.value + (j * kValues + 2) * C + c);
    a.v *= w.v;
    for (int x = 0; x < kAxes; ++x) {
      b.load(share + (1 + x) * kLanes<T>);
      b.v += own_grad[x].v * a.v;
      b.store(share + (1 + x) * kLanes<T>);
    }
  }
  for (int n = 0; n < kSums; ++n) sum[n].store(work.sums.data() + n * C + c);
}

// From the sums over an atom's edges to the derivatives by what the atom has.
template <class T>
TMD_INLINE void finish_atom(const AttentionInput<T>& in, int64_t i, const T* sums, const AttentionGradients<T>& to) {
  const int64_t C = in.channels;
  const T *value2 = in.value + (i * kValues + 1) * C, *vector = in.vector + i * kAxes * C;
  T *to_value = to.value + i * kValues * C, *to_vector = to.vector + i * kAxes * C;
  const T* carried = sums + kCarried * C;
  std::copy_n(sums + kQuery * C, C, to.query + i * C);
  std::copy_n(sums + kKey * C, C, to.key + i * C);
  TMD_INDEPENDENT
  for (int64_t c = 0; c < C; ++c) {
    to_value[c] = sums[kValue1 * C + c];
    to_value[C + c] = carried[c] * vector[c] + carried[C + c] * vector[C + c] + carried[2 * C + c] * vector[2 * C + c];
    to_value[2 * C + c] = sums[kValue3 * C + c];
    for (int x = 0; x < kAxes; ++x) to_vector[x * C + c] = carried[x * C + c] * value2[c];
  }
}

template <class T>
TMD_INLINE void backward_rows(const AttentionInput<T>& in, int64_t begin, int64_t end,
                              const AttentionGradients<T>& to) {
  const int64_t width = in.head_width();
  Workspace<T> work(in.channels, in.num_heads);
  for (int64_t i = begin; i < end; ++i) {
    place_edges(in.s, in.num_intervals, in.edges, i, work.edges);
    const int64_t num_edges = work.edges.size();
    work.shares.assign(num_edges * kShares * kLanes<T>, T(0));
    work.sums.assign(kSums * in.channels, T(0));
    for (int64_t first = 0; first < num_edges; first += kBatch) {
      const int64_t count = std::min<int64_t>(kBatch, num_edges - first);
      score_batch(in, i, first, count, work);
      activate_batch(count * in.num_heads, work.in_score.data(), work.in_grad.data());
      activate_batch(count * in.num_heads, work.out_score.data(), work.out_grad.data());
      for (int64_t head = 0; head < in.num_heads; ++head) {
        for_lanes<T>(head * width, (head + 1) * width, [&](auto lanes, int64_t c) TMD_BODY {
          backward_lanes<T, decltype(lanes)::value>(in, i, first, count, head, c, work);
        });
      }
    }
    finish_atom(in, i, work.sums.data(), to);
    for (int64_t e = 0; e < num_edges; ++e) {
      const T* share = work.shares.data() + e * kShares * kLanes<T>;
      const int64_t number = in.edges.row_ptr[i] + e;
      Lanes<T, kLanes<T>> total;
      total.load(share);
      to.slope[number] = total.sum();
      for (int x = 0; x < kAxes; ++x) {
        total.load(share + (1 + x) * kLanes<T>);
        to.direction[number * kAxes + x] = total.sum();
      }
    }
  }
}

template <class T>
void backward_cpu(const AttentionInput<T>& in, AttentionGradients<T> to, T* to_s) {
  const int64_t num_filled = in.edges.row_ptr[in.edges.num_atoms];
  std::fill(to.direction + num_filled * kAxes, to.direction + in.edges.num_edges * kAxes, T(0));
  Scratch<T> of_edges(in.edges.num_edges);
  to.slope = of_edges.data();
  parallel_chunks(in.edges.num_atoms, in.edges.atoms_per_task(in.channels),
                  [&](int64_t begin, int64_t end) { run<backward_rows<T>>(in, begin, end, to); });
  sum_of_pairs(in.edges, of_edges.data(), to_s);
}

}  // namespace

// table_attention_backward(grad_scalar, grad_vector, table, s, query, key, value, vector, direction, receiver, sender,
//   row_ptr, pair, num_heads) -> s, query, key, value, vector, direction
void table_attention_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad_scalar(stack[0]), grad_vector(stack[1]), table(stack[2]), s(stack[3]), query(stack[4]),
      key(stack[5]), value(stack[6]), vector(stack[7]), direction(stack[8]), receiver(stack[9]), sender(stack[10]),
      row_ptr(stack[11]), pair(stack[12]);
  const AttentionArguments arguments{table,     s,      query,   key,  value,
                                     vector,    direction, sender, row_ptr, pair, argument<int64_t>(stack[13])};
  const Edges edges = arguments.check();
  const int64_t N = query.size(0), C = query.size(1);
  arguments.tensors().check_gradients(grad_scalar, grad_vector);
  Tensor to_s = s.empty_like({s.size(0)}), to_query = query.empty_like({N, C}), to_key = query.empty_like({N, C}),
         to_value = query.empty_like({N, kValues * C}), to_vector = query.empty_like({N, kAxes, C}),
         to_direction = query.empty_like({sender.size(0), kAxes});
  for_type(query, [&](auto type) {
    using T = decltype(type);
    AttentionInput<T> in = arguments.input<T>(edges);
    in.grad_scalar = grad_scalar.data<T>();
    in.grad_vector = grad_vector.data<T>();
    backward_cpu<T>(in,
                    {to_query.mutable_data<T>(), to_key.mutable_data<T>(), to_value.mutable_data<T>(),
                     to_vector.mutable_data<T>(), to_direction.mutable_data<T>(), nullptr},
                    to_s.mutable_data<T>());
  });
  int64_t position = 0;
  for (Tensor* result : {&to_s, &to_query, &to_key, &to_value, &to_vector, &to_direction})
    stack[position++] = result->release();
}

}  // namespace torchmdnet
