// The weights of attention's heads and their derivatives: what table_attention and table_scalar_attention share.
#pragma once
#include <cmath>

#include "heads.cuh"
#include "table_edges.cuh"

namespace torchmdnet {

constexpr int kKeys = 0;  // the column of the table; those of the values follow

template <class T>
__device__ T logistic(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

// V channels of a row of an array of C columns.
template <int V, class T>
__device__ Pack<T, V> read_row(const TableEdges<T>& d, const T* array, int64_t row, int64_t channel) {
  return read_pack<T, V>(array + row * d.channels + channel);
}

// This lane's share of the score of an edge.
template <class T, int V, class Row>
__device__ T score_share(const Pack<T, V>& query, const Pack<T, V>& key, const Row& row, T t) {
  T sum = 0;
  for (int v = 0; v < V; ++v) sum += query.v[v] * key.v[v] * row.value(kKeys, v, t);
  return sum;
}

// What the weight of an edge needs of an atom: V channels.
template <class T, int V>
struct Weighing {
  Pack<T, V> query, key, value, grad;

  template <class In>
  __device__ Weighing(const TableEdges<T>& d, const In& in, const T* scalar, int64_t atom, int64_t channel)
      : query(read_row<V>(d, in.query, atom, channel)),
        key(read_row<V>(d, in.key, atom, channel)),
        value(read_row<V>(d, in.value, atom * In::kValueRows, channel)),
        grad(read_row<V>(d, scalar, atom, channel)) {}
};

// Of an edge's head, the score and the derivative by the weight; after `activate` the derivative by the score and the
// weight.
template <class T>
struct HeadWeight {
  T score = 0, grad = 0, weight = 0;

  template <int V, class Row>
  __device__ void add(const Weighing<T, V>& receiver, const Weighing<T, V>& sender, const Row& row, T t) {
    score += score_share(receiver.query, sender.key, row, t);
    for (int v = 0; v < V; ++v) grad += receiver.grad.v[v] * sender.value.v[v] * row.value(1, v, t);
  }
  __device__ void add(const HeadWeight& part) {
    score += part.score;
    grad += part.grad;
  }
  __device__ void activate(const Heads& heads) {
    score = head_sum(heads, score);
    const T sigma = logistic(score);
    grad = head_sum(heads, grad) * (sigma * (1 + score * (1 - sigma)));
    weight = score * sigma;
  }
};

// From the shares of this lane's channels of an edge to atom i to the weights of the head.
template <class T, int V, class In>
__device__ void weigh_heads(const TableEdges<T>& d, const In& in, const T* scalar, int64_t i, const TableEdge<T>& edge,
                            const HeadChannels<V>& channel, HeadWeight<T>& of_edge, HeadWeight<T>& of_reverse) {
  const HeadWeight<T> own = of_edge, own_reverse = of_reverse;
  of_edge = of_reverse = {};
  for_parts(in.heads, channel, [&](const HeadChannels<V>& part, bool is_own) {
    if (!part.any) return;
    if (is_own) {
      of_edge.add(own);
      of_reverse.add(own_reverse);
    } else {
      const TableRow<T, V, In::kTableColumns, 2> row(d, edge.place.interval, part.first);
      const Weighing<T, V> at_i(d, in, scalar, i, part.first), at_j(d, in, scalar, edge.sender, part.first);
      of_edge.add(at_i, at_j, row, edge.place.t);
      of_reverse.add(at_j, at_i, row, edge.place.t);
    }
  });
  of_edge.activate(in.heads);
  of_reverse.activate(in.heads);
}

}  // namespace torchmdnet
