// Attention over neighbours of scalars alone, with factors that are read from a table, and its derivative; see
// cpu/table_scalar_attention.cpp.
//
// Edges that come in to an atom tell all that it receives and all that it sends: an edge and its reverse share their row
// of the table.
#pragma once
#include "../scalar_attention_input.h"
#include "head_weights.cuh"
#include "slope_sums.cuh"

namespace torchmdnet {

// query, key, value (N, C)
template <class T>
struct ScalarAttention {
  static constexpr int kTableColumns = kScalarColumns, kValueRows = 1;  // values have so many rows an atom
  const T *query, *key, *value;
  Heads heads;
};

// By the result (N, C); by the inputs: as they are.
template <class T>
struct ScalarGradients {
  const T* scalar;
  T *to_query, *to_key, *to_value;
};

// A team of S warps a chunk of channels of an atom. A head that has several parts is scored for each of them.
template <int S, class T, int V>
__global__ void __launch_bounds__(kTableThreads, kTableBlocks)
    scalar_attention_kernel(TableEdges<T> d, ScalarAttention<T> in, T* out) {
  const int64_t chunks = in.heads.num_chunks();
  for (int64_t item = grid_team<S>(); item < d.num_atoms * chunks; item += grid_teams<S>()) {
    const int64_t i = item / chunks;
    const HeadChannels<V> channel(in.heads, item % chunks);
    const Pack<T, V> query = read_row<V>(d, in.query, i, channel.first);
    Pack<T, V> sum[1] = {};
    for_edges<S>(d, i, [&](int64_t, const TableEdge<T>& edge) {
      const T t = edge.place.t;
      const TableRow<T, V, kScalarColumns> row(d, edge.place.interval, channel.first);
      const Pack<T, V> key = read_row<V>(d, in.key, edge.sender, channel.first);
      Pack<T, V> value = read_row<V>(d, in.value, edge.sender, channel.first);
      const T own_score = score_share(query, key, row, t);
      for (int v = 0; v < V; ++v) value.v[v] *= row.value(1, v, t);
      T score = 0;
      for_parts(in.heads, channel, [&](const HeadChannels<V>& part, bool is_own) {
        if (!part.any) return;
        if (is_own) {
          score += own_score;
        } else {
          const TableRow<T, V, kScalarColumns, 1> keys(d, edge.place.interval, part.first);
          score += score_share(read_row<V>(d, in.query, i, part.first), read_row<V>(d, in.key, edge.sender, part.first),
                               keys, t);
        }
      });
      score = head_sum(in.heads, score);
      const T weight = score * logistic(score);
      for (int v = 0; v < V; ++v) sum[0].v[v] += weight * value.v[v];
    });
    sum_team<S>(sum);
    if (rank_in_team<S>() == 0 && channel.any) write_pack(out + i * d.channels + channel.first, sum[0]);
  }
}

enum { kOfQuery, kOfKey, kOfValue, kScalarSums };  // what is summed over an atom's edges

// What a warp knows while it goes through the edges of atom i for one chunk of channels.
template <class T, int V>
struct ScalarChunk {
  const TableEdges<T>& d;
  const ScalarAttention<T>& in;
  const T* grad;
  int64_t i;
  HeadChannels<V> channel;
  Weighing<T, V> weighing;
  Pack<T, V> sum[kScalarSums] = {};

  __device__ ScalarChunk(const TableEdges<T>& d, const ScalarAttention<T>& in, const T* grad, int64_t i, int64_t chunk)
      : d(d), in(in), grad(grad), i(i), channel(in.heads, chunk), weighing(d, in, grad, i, channel.first) {}

  // Adds what an edge gives to the sums. Returns the derivative by its coordinate.
  __device__ T add(const TableEdge<T>& edge) {
    const T t = edge.place.t;
    const TableRow<T, V, kScalarColumns> row(d, edge.place.interval, channel.first);
    const Weighing<T, V> other(d, in, grad, edge.sender, channel.first);
    // All that the weights are not needed for comes before the lanes meet, so that little is kept meanwhile.
    HeadWeight<T> of_edge, of_reverse;
    of_edge.add(weighing, other, row, t);
    of_reverse.add(other, weighing, row, t);
    Pack<T, V> key, query, scalar;
    T by_score = 0, by_weight = 0;
    for (int v = 0; v < V; ++v) {
      key.v[v] = other.key.v[v] * row.value(kKeys, v, t);
      query.v[v] = other.query.v[v] * row.value(kKeys, v, t);
      scalar.v[v] = other.grad.v[v] * row.value(1, v, t);
      by_score += row.slope(kKeys, v, t) * (other.query.v[v] * weighing.key.v[v]);
      by_weight += row.slope(1, v, t) * (other.grad.v[v] * weighing.value.v[v]);
    }
    weigh_heads(d, in, grad, i, edge, channel, of_edge, of_reverse);
    for (int v = 0; v < V; ++v) {
      sum[kOfQuery].v[v] += of_edge.grad * key.v[v];
      sum[kOfKey].v[v] += of_reverse.grad * query.v[v];
      sum[kOfValue].v[v] += of_reverse.weight * scalar.v[v];
    }
    return warp_sum(channel.any ? of_reverse.grad * by_score + of_reverse.weight * by_weight : T(0));
  }
};

// A team of S warps an atom, which goes through the edges once for each chunk of channels.
template <int S, class T, int V>
__global__ void __launch_bounds__(kTableThreads, kTableBlocks)
    scalar_attention_backward_kernel(TableEdges<T> d, ScalarAttention<T> in, ScalarGradients<T> to, SlopeSums<T> to_s) {
  const int64_t chunks = in.heads.num_chunks();
  const int32_t shared = shared_pair(d);
  for (int64_t i = grid_team<S>(); i < d.num_atoms; i += grid_teams<S>()) {
    RowSlopes<T> slopes(to_s, shared);
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      ScalarChunk<T, V> of_chunk(d, in, to.scalar, i, chunk);
      for_edges<S>(d, i, [&](int64_t e, const TableEdge<T>& edge) {
        const T slope = of_chunk.add(edge);
        if (lane_of_thread() == 0) slopes.add(e, edge.pair, slope, chunk == 0, chunk == chunks - 1);
      });
      sum_team<S>(of_chunk.sum);
      if (rank_in_team<S>() > 0 || !of_chunk.channel.any) continue;
      const int64_t at = i * d.channels + of_chunk.channel.first;
      write_pack(to.to_query + at, of_chunk.sum[kOfQuery]);
      write_pack(to.to_key + at, of_chunk.sum[kOfKey]);
      write_pack(to.to_value + at, of_chunk.sum[kOfValue]);
    }
    if (lane_of_thread() == 0) slopes.finish(i * S + rank_in_team<S>());
  }
}

template <class T, int V>
void scalar_attention(const TableEdges<T>& d, const ScalarAttention<T>& in, T* out, Stream stream) {
  const int64_t items = d.num_atoms * in.heads.num_chunks();
  for_team(team_size(items), [&](auto team) {
    const int64_t blocks = blocks_for(items * team.value * kWarp, kTableThreads);
    TMD_LAUNCH((scalar_attention_kernel<team.value, T, V>), blocks, kTableThreads, stream, d, in, out);
  });
}

template <class T, int V>
void scalar_attention_backward(const TableEdges<T>& d, const ScalarAttention<T>& in, const ScalarGradients<T>& to,
                               const SlopeSums<T>& to_s, Stream stream) {
  clear_slopes(d, to_s, stream);
  for_team(to_s.team, [&](auto team) {
    const int64_t blocks = blocks_for(to_s.num_warps(d) * kWarp, kTableThreads);
    TMD_LAUNCH((scalar_attention_backward_kernel<team.value, T, V>), blocks, kTableThreads, stream, d, in, to, to_s);
  });
  TMD_LAUNCH(sum_shared_pair_kernel<T>, 1, kSumThreads, stream, d, to_s);
}

}  // namespace torchmdnet
