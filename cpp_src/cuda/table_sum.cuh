// Sums over neighbours with weights that are read from a table, and their gradients; see cpu/table_sum.cpp.
#pragma once
#include "slope_sums.cuh"
#include "table_edges.cuh"

namespace torchmdnet {

// Blocks that a multiprocessor has registers for. An edge is a third of that of table_message, so that it takes more
// warps to keep as many loads under way.
constexpr int kTableSumBlocks = 7;

// A team of S warps a chunk of channels of an atom.
template <int S, class T, int V>
__global__ void __launch_bounds__(kTableThreads, kTableSumBlocks)
    table_sum_kernel(TableEdges<T> d, const T* x, T* out) {
  const int64_t chunks = num_chunks(d.channels, V);
  for (int64_t item = grid_team<S>(); item < d.num_atoms * chunks; item += grid_teams<S>()) {
    const int64_t i = item / chunks;
    const LaneChannels<V> channel(d.channels, item % chunks);
    Pack<T, V> sum[1] = {};
    for_edges<S>(d, i, [&](int64_t, const TableEdge<T>& edge) {
      const TableRow<T, V, 1> row(d, edge.place.interval, channel.first);
      const Pack<T, V> value = read_pack<T, V>(x + edge.sender * d.channels + channel.first);
      for (int v = 0; v < V; ++v) sum[0].v[v] += row.value(0, v, edge.place.t) * value.v[v];
    });
    write_sums<S>(d, i, channel, sum, out);
  }
}

// A team of S warps an atom, which goes through the edges once for each chunk of channels.
template <int S, class T, int V>
__global__ void __launch_bounds__(kTableThreads, kTableSumBlocks)
    table_sum_backward_kernel(TableEdges<T> d, const T* x, const T* grad, T* to_x, SlopeSums<T> to_s) {
  const int64_t chunks = num_chunks(d.channels, V);
  const int32_t shared = shared_pair(d);
  for (int64_t i = grid_team<S>(); i < d.num_atoms; i += grid_teams<S>()) {
    RowSlopes<T> slopes(to_s, shared);
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const LaneChannels<V> channel(d.channels, chunk);
      const Pack<T, V> own = read_pack<T, V>(x + i * d.channels + channel.first);
      Pack<T, V> sum[1] = {};
      for_edges<S>(d, i, [&](int64_t e, const TableEdge<T>& edge) {
        const TableRow<T, V, 1> row(d, edge.place.interval, channel.first);
        const Pack<T, V> value = read_pack<T, V>(grad + edge.sender * d.channels + channel.first);
        T slope = 0;
        for (int v = 0; v < V; ++v) {
          sum[0].v[v] += row.value(0, v, edge.place.t) * value.v[v];
          slope += row.slope(0, v, edge.place.t) * (own.v[v] * value.v[v]);
        }
        slope = warp_sum(channel.any ? slope : T(0));
        if (lane_of_thread() == 0) slopes.add(e, edge.pair, slope, chunk == 0, chunk == chunks - 1);
      });
      write_sums<S>(d, i, channel, sum, to_x);
    }
    if (lane_of_thread() == 0) slopes.finish(i * S + rank_in_team<S>());
  }
}

template <class T, int V>
void table_sum(const TableEdges<T>& d, const T* x, T* out, Stream stream) {
  const int64_t items = d.num_atoms * num_chunks(d.channels, V);
  for_team(team_size(items), [&](auto team) {
    const int64_t blocks = blocks_for(items * team.value * kWarp, kTableThreads);
    TMD_LAUNCH((table_sum_kernel<team.value, T, V>), blocks, kTableThreads, stream, d, x, out);
  });
}

template <class T, int V>
void table_sum_backward(const TableEdges<T>& d, const T* x, const T* grad, T* to_x, const SlopeSums<T>& to_s,
                        Stream stream) {
  clear_slopes(d, to_s, stream);
  for_team(to_s.team, [&](auto team) {
    const int64_t blocks = blocks_for(to_s.num_warps(d) * kWarp, kTableThreads);
    TMD_LAUNCH((table_sum_backward_kernel<team.value, T, V>), blocks, kTableThreads, stream, d, x, grad, to_x, to_s);
  });
  TMD_LAUNCH(sum_shared_pair_kernel<T>, 1, kSumThreads, stream, d, to_s);
}

}  // namespace torchmdnet
