// Sums of messages between tensors: what ops with a weight for each pair and with one for each edge do alike.
#pragma once
#include "reverse_edges.cuh"

namespace torchmdnet {

// A team of S warps a chunk of channels of an atom, which reads the weights of the pairs of the edges to it, or those
// of the edges, or where reverses are listed, of the edges from it. weight (P or E, 3, C), x and out (9, N, C)
template <bool by_pair, int S, int V, class T>
__global__ void __launch_bounds__(kTableThreads, kTableBlocks)
    sum_messages_kernel(GraphEdges d, const T* weight, const T* x, T* out) {
  const int64_t plane = d.plane(), chunks = num_chunks(d.channels, V);
  for (int64_t item = grid_team<S>(); item < d.num_atoms * chunks; item += grid_teams<S>()) {
    const int64_t i = item / chunks;
    const LaneChannels<V> channel(d.channels, item % chunks);
    Pack<T, V> sum[kComponents] = {};
    for_graph_edges<S>(d, i, [&](int64_t e, const GraphEdge& edge) {
      if (edge.sender < 0) {
        for (int c = 0; c < kComponents; ++c) spoil(sum[c]);
        return;
      }
      const int64_t row = by_pair ? edge.pair : d.listed ? edge.reverse : e;
      const T* rows = weight + row * (kParts * d.channels) + channel.first;
      const T* from = x + edge.sender * d.channels + channel.first;
      Pack<T, V> w[kParts], value[kComponents];
      for (int k = 0; k < kParts; ++k) w[k] = read_pack_once<T, V>(rows + k * d.channels);
      for (int c = 0; c < kComponents; ++c) value[c] = read_pack<T, V>(from + c * plane);
      for (int c = 0; c < kComponents; ++c)
        for (int v = 0; v < V; ++v) sum[c].v[v] += w[part_of(c)].v[v] * value[c].v[v];
    });
    sum_team<S>(sum);
    for (int c = 0; rank_in_team<S>() == 0 && channel.any && c < kComponents; ++c)
      write_pack(out + c * plane + i * d.channels + channel.first, sum[c]);
  }
}

template <bool by_pair, int V, class T>
void sum_messages(const GraphEdges& d, const T* weight, const T* x, T* out, Stream stream) {
  const int64_t items = d.num_atoms * num_chunks(d.channels, V);
  for_team(team_size(items), [&](auto team) {
    const int64_t blocks = blocks_for(items * team.value * kWarp, kTableThreads);
    TMD_LAUNCH((sum_messages_kernel<by_pair, team.value, V, T>), blocks, kTableThreads, stream, d, weight, x, out);
  });
}

}  // namespace torchmdnet
