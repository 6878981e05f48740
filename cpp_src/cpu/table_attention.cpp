// Attention over neighbours of scalars and vectors, with factors that are read from a table (see table_columns.h and
// torchmdnet/ops/table_attention.py).
//
// N atoms, E edges sorted by receiver, P pairs, C channels in heads of equal width, arrays contiguous; at coordinate s
// the table (M, 6, 4, C) has the factors w0 of the keys and w1, w2, w3 of the values. For an edge from j to i with
// direction u, psi(x) = x / (1 + exp(-x)) and the sum over the channels of a head:
//   weight = psi(sum query[i] * key[j] * w0)                        one number a head
//   out scalar[i] = sum over edges e of i of  weight * value1[j] * w1
//   out vector[i] = sum over edges e of i of  vector[j] * value2[j] * w2 + u * value3[j] * w3
//
// Nothing of size E x C is stored. An edge reads 24 C numbers of the table, most of them from the cache because
// distances repeat, and 7 C of the sender. Each output is the sum of its terms in the order of the edges, by one
// thread: the same bits for any number of threads.
#include "table_attention.h"

#include <algorithm>
#include <vector>

#include "../sigmoid.h"

namespace torchmdnet {
namespace {

// Sum of query * key * factor over each head of each edge of an atom: scores[e * num_heads + head].
template <class T>
TMD_INLINE void score_edges(const AttentionInput<T>& in, int64_t i, const std::vector<TableEdge<T>>& edges, T* scores) {
  const int64_t C = in.channels, width = in.head_width();
  const T* query = in.query + i * C;
  for (const TableEdge<T>& edge : edges) {
    const T* key = in.key + edge.sender * C;
    for (int64_t begin = 0; begin < C; begin += width) {
      T total = 0;
      for_lanes<T>(begin, begin + width, [&](auto lanes, int64_t channel) TMD_BODY {
        constexpr int W = decltype(lanes)::value;
        Lanes<T, W> q, k, factor;
        q.load(query + channel);
        k.load(key + channel);
        column_value<T, W>(in.column(edge.place, 0, channel), in.stride(), edge.place.t, factor);
        factor.v *= q.v * k.v;
        total += factor.sum();
      });
      *scores++ = total;
    }
  }
}

// psi of the scores, in place; room for whole lanes.
template <class T>
TMD_INLINE void activate(T* scores, int64_t count) {
  constexpr int W = 64 / sizeof(T);
  for (int64_t n = 0; n < count; n += W) {
    Lanes<T, W> x, y;
    x.load(scores + n);
    y = sigmoid<T, W>(x);
    y.v *= x.v;
    y.store(scores + n);
  }
}

// Sums over an atom's edges for W channels of one head; weights are those of the head, num_heads apart.
template <class T, int W>
TMD_INLINE void message_lanes(const AttentionInput<T>& in, int64_t i, const std::vector<TableEdge<T>>& edges,
                              const T* weights, const T* direction, int64_t channel, T* to_scalar, T* to_vector) {
  const int64_t C = in.channels;
  Lanes<T, W> scalar = {}, sum[kAxes] = {};
  for (size_t e = 0; e < edges.size(); ++e) {
    const TableEdge<T>& edge = edges[e];
    Lanes<T, W> factor[kValues], value, component;
    for (int n = 0; n < kValues; ++n) {
      column_value<T, W>(in.column(edge.place, 1 + n, channel), in.stride(), edge.place.t, factor[n]);
      value.load(in.value + (edge.sender * kValues + n) * C + channel);
      factor[n].v *= value.v;
    }
    scalar.v += weights[e * in.num_heads] * factor[0].v;
    for (int x = 0; x < kAxes; ++x) {
      component.load(in.vector + (edge.sender * kAxes + x) * C + channel);
      sum[x].v += component.v * factor[1].v + direction[e * kAxes + x] * factor[2].v;
    }
  }
  scalar.store(to_scalar + i * C + channel);
  for (int x = 0; x < kAxes; ++x) sum[x].store(to_vector + (i * kAxes + x) * C + channel);
}

template <class T>
TMD_INLINE void attention_rows(const AttentionInput<T>& in, int64_t begin, int64_t end, T* to_scalar, T* to_vector) {
  constexpr int64_t W = 64 / sizeof(T);
  const int64_t width = in.head_width();
  std::vector<TableEdge<T>> edges;
  std::vector<T> weights;
  for (int64_t i = begin; i < end; ++i) {
    place_edges(in.s, in.num_intervals, in.edges, i, edges);
    const int64_t count = static_cast<int64_t>(edges.size()) * in.num_heads;
    weights.assign((count + W - 1) / W * W, T(0));
    score_edges(in, i, edges, weights.data());
    activate(weights.data(), count);
    const T* direction = in.direction + int64_t(in.edges.row_ptr[i]) * kAxes;
    for (int64_t head = 0; head < in.num_heads; ++head) {
      for_lanes<T>(head * width, (head + 1) * width, [&](auto lanes, int64_t channel) TMD_BODY {
        message_lanes<T, decltype(lanes)::value>(in, i, edges, weights.data() + head, direction, channel, to_scalar,
                                                 to_vector);
      });
    }
  }
}

template <class T>
void attention_cpu(const AttentionInput<T>& in, const Tensor& scalar, const Tensor& vector) {
  T *to_scalar = scalar.mutable_data<T>(), *to_vector = vector.mutable_data<T>();
  parallel_chunks(in.edges.num_atoms, in.edges.atoms_per_task(in.channels), [&](int64_t begin, int64_t end) {
    run<attention_rows<T>>(in, begin, end, to_scalar, to_vector);
  });
}

}  // namespace

// table_attention(table, s, query, key, value, vector, direction, receiver, sender, row_ptr, pair, num_heads)
//   -> (N, C), (N, 3, C)
void table_attention(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor table(stack[0]), s(stack[1]), query(stack[2]), key(stack[3]), value(stack[4]), vector(stack[5]),
      direction(stack[6]), receiver(stack[7]), sender(stack[8]), row_ptr(stack[9]), pair(stack[10]);
  const AttentionArguments arguments{table,     s,      query,   key,  value,
                                     vector,    direction, sender, row_ptr, pair, argument<int64_t>(stack[11])};
  const Edges edges = arguments.check();
  Tensor to_scalar = query.empty_like({query.size(0), query.size(1)});
  Tensor to_vector = query.empty_like({query.size(0), kAxes, query.size(1)});
  for_type(query, [&](auto type) { attention_cpu(arguments.input<decltype(type)>(edges), to_scalar, to_vector); });
  stack[0] = to_scalar.release();
  stack[1] = to_vector.release();
}

}  // namespace torchmdnet
