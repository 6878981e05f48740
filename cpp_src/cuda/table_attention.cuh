// Attention over neighbours with factors that are read from a table; see cpu/table_attention.cpp.
#pragma once
#include "../attention_input.h"
#include "head_weights.cuh"

namespace torchmdnet {

// Blocks that a multiprocessor must have registers for: 255 a thread, enough for all loads of an edge to be under way
// at once.
constexpr int kAttentionBlocks = 2;

// query and key (N, C), value (N, 3 C), vector (N, 3, C), direction (E, 3)
template <class T>
struct Attention {
  static constexpr int kTableColumns = kColumns, kValueRows = kValues;  // values have so many rows an atom
  const T *query, *key, *value, *vector, *direction;
  Heads heads;
};

// What an atom sends: V channels.
template <class T, int V>
struct Sent {
  Pack<T, V> key, value[kValues], vector[kAxes];

  __device__ Sent(const TableEdges<T>& d, const Attention<T>& in, int64_t j, int64_t channel)
      : key(read_row<V>(d, in.key, j, channel)) {
    for (int n = 0; n < kValues; ++n) value[n] = read_row<V>(d, in.value, j * kValues + n, channel);
    for (int x = 0; x < kAxes; ++x) vector[x] = read_row<V>(d, in.vector, j * kAxes + x, channel);
  }
};

// A team of S warps a chunk of channels of an atom. A head that has several parts is scored for each of them.
template <int S, class T, int V>
__global__ void __launch_bounds__(kTableThreads, kAttentionBlocks)
    table_attention_kernel(TableEdges<T> d, Attention<T> in, T* to_scalar, T* to_vector) {
  const int64_t chunks = in.heads.num_chunks();
  for (int64_t item = grid_team<S>(); item < d.num_atoms * chunks; item += grid_teams<S>()) {
    const int64_t i = item / chunks;
    const HeadChannels<V> channel(in.heads, item % chunks);
    const Pack<T, V> query = read_row<V>(d, in.query, i, channel.first);
    Pack<T, V> sum[1 + kAxes] = {};
    for_edges<S>(d, i, [&](int64_t e, const TableEdge<T>& edge) {
      const T t = edge.place.t;
      const TableRow<T, V, kColumns> row(d, edge.place.interval, channel.first);
      const Sent<T, V> sent(d, in, edge.sender, channel.first);
      T u[kAxes], score = 0;
      for (int x = 0; x < kAxes; ++x) u[x] = __ldg(in.direction + e * kAxes + x);
      // All that the weight is not needed for comes before the lanes meet, so that little is kept meanwhile.
      const T own_score = score_share(query, sent.key, row, t);
      Pack<T, V> scalar;
      for (int v = 0; v < V; ++v) {
        scalar.v[v] = sent.value[0].v[v] * row.value(1, v, t);
        const T along = sent.value[1].v[v] * row.value(2, v, t), across = sent.value[2].v[v] * row.value(3, v, t);
        for (int x = 0; x < kAxes; ++x) sum[1 + x].v[v] += sent.vector[x].v[v] * along + u[x] * across;
      }
      for_parts(in.heads, channel, [&](const HeadChannels<V>& part, bool is_own) {
        if (!part.any) return;
        if (is_own) {
          score += own_score;
        } else {
          const TableRow<T, V, kColumns, 1> keys(d, edge.place.interval, part.first);
          score += score_share(read_row<V>(d, in.query, i, part.first), read_row<V>(d, in.key, edge.sender, part.first),
                               keys, t);
        }
      });
      score = head_sum(in.heads, score);
      const T weight = score * logistic(score);
      for (int v = 0; v < V; ++v) sum[0].v[v] += weight * scalar.v[v];
    });
    sum_team<S>(sum);
    if (rank_in_team<S>() > 0 || !channel.any) continue;
    write_pack(to_scalar + i * d.channels + channel.first, sum[0]);
    for (int x = 0; x < kAxes; ++x) write_pack(to_vector + (i * kAxes + x) * d.channels + channel.first, sum[1 + x]);
  }
}

template <class T, int V>
void table_attention(const TableEdges<T>& d, const Attention<T>& in, T* to_scalar, T* to_vector, Stream stream) {
  const int64_t items = d.num_atoms * in.heads.num_chunks();
  for_team(team_size(items), [&](auto team) {
    const int64_t blocks = blocks_for(items * team.value * kWarp, kTableThreads);
    TMD_LAUNCH((table_attention_kernel<team.value, T, V>), blocks, kTableThreads, stream, d, in, to_scalar, to_vector);
  });
}

}  // namespace torchmdnet
