// Messages between tensors with a weight for each edge, and their adjoints; see cpu/edge_message.cpp.
#pragma once
#include "message_sums.cuh"

namespace torchmdnet {

// A team of S warps a chunk of channels of an atom, whose own features it holds. Padding gets zero. out (E, 3, C)
template <int S, int V, class T>
__global__ void __launch_bounds__(kTableThreads, kTableBlocks)
    edge_message_weight_kernel(GraphEdges d, const T* x, const T* y, T* out) {
  const int64_t plane = d.plane(), chunks = num_chunks(d.channels, V), numbers = kParts * d.channels;
  for (int64_t item = grid_team<S>(); item < d.num_atoms * chunks; item += grid_teams<S>()) {
    const int64_t i = item / chunks;
    const LaneChannels<V> channel(d.channels, item % chunks);
    Pack<T, V> own[kComponents];
    for (int c = 0; c < kComponents; ++c)
      own[c] = read_pack<T, V>(y + c * plane + i * d.channels + channel.first);
    for_graph_edges<S>(d, i, [&](int64_t e, const GraphEdge& edge) {
      Pack<T, V> sum[kParts] = {};
      if (edge.sender < 0)
        for (int k = 0; k < kParts; ++k) spoil(sum[k]);
      const int64_t j = edge.sender < 0 ? i : edge.sender;
      for (int c = 0; c < kComponents; ++c) {
        const Pack<T, V> other = read_pack<T, V>(x + c * plane + j * d.channels + channel.first);
        for (int v = 0; v < V; ++v) sum[part_of(c)].v[v] += other.v[v] * own[c].v[v];
      }
      for (int k = 0; channel.any && k < kParts; ++k)
        write_pack(out + e * numbers + k * d.channels + channel.first, sum[k]);
    });
  }
  const int64_t num_filled = d.row_ptr[d.num_atoms];
  for (int64_t n = num_filled * numbers + grid_thread(); n < d.num_edges * numbers; n += grid_threads()) out[n] = 0;
}

template <int V, class T>
void edge_message_weight(const GraphEdges& d, const T* x, const T* y, T* out, Stream stream) {
  const int64_t items = d.num_atoms * num_chunks(d.channels, V);
  for_team(team_size(items), [&](auto team) {
    const int64_t threads = items * team.value * kWarp, wanted = threads > d.num_edges ? threads : d.num_edges;
    TMD_LAUNCH((edge_message_weight_kernel<team.value, V, T>), blocks_for(wanted, kTableThreads), kTableThreads, stream,
               d, x, y, out);
  });
}

}  // namespace torchmdnet
