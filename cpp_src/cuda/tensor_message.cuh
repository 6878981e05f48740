// Messages between tensors with a weight for each pair, and the adjoint; see cpu/tensor_message.cpp.
#pragma once
#include "message_sums.cuh"
#include "pair_rows.cuh"
#include "reverse_edges.cuh"

namespace torchmdnet {

// What an edge from an atom to itself adds to its pair's row.
template <class T>
struct MessageTerm {
  const T *x, *y;  // (9, N, C)
  int64_t plane, channels;

  template <int V>
  __device__ void operator()(int64_t i, int64_t, const LaneChannels<V>& channel, Pack<T, V>* sum) const {
    const int64_t here = i * channels + channel.first;
    for (int c = 0; c < kComponents; ++c) {
      const Pack<T, V> a = read_pack<T, V>(x + c * plane + here), b = read_pack<T, V>(y + c * plane + here);
      for (int v = 0; v < V; ++v) sum[part_of(c)].v[v] += a.v[v] * b.v[v];
    }
  }
};

// A team of S warps a chunk of channels of an atom, whose own features it holds.
template <int S, int V, class T>
__global__ void __launch_bounds__(kTableThreads, kTableBlocks - 1)
    tensor_message_weight_kernel(GraphEdges d, MessageTerm<T> in, PairRows<T> r) {
  const int64_t plane = d.plane(), chunks = num_chunks(d.channels, V);
  const int32_t shared = shared_pair(d);
  for (int64_t item = grid_team<S>(); item < d.num_atoms * chunks; item += grid_teams<S>()) {
    const int64_t i = item / chunks;
    const LaneChannels<V> channel(d.channels, item % chunks);
    const int64_t here = i * d.channels + channel.first;
    Pack<T, V> x[kComponents], y[kComponents];
    for (int c = 0; c < kComponents; ++c) {
      x[c] = read_pack<T, V>(in.x + c * plane + here);
      y[c] = read_pack<T, V>(in.y + c * plane + here);
    }
    for_graph_edges<S>(d, i, [&](int64_t e, const GraphEdge& edge) {
      const int64_t j = edge.sender;
      if (j < 0 || (j == i ? edge.pair == shared : !is_written_by(i, j))) return;
      T* const row = row_of_pair(r, d, edge.pair, channel);
      Pack<T, V> sum[kParts] = {};
      if (j == i) {
        in(i, e, channel, sum);
        add_to_row(row, d, channel, sum);
        return;
      }
      const int64_t there = j * d.channels + channel.first;
      Pack<T, V> other_x[kComponents], other_y[kComponents];
      for (int c = 0; c < kComponents; ++c) {
        other_x[c] = read_pack<T, V>(in.x + c * plane + there);
        other_y[c] = read_pack<T, V>(in.y + c * plane + there);
      }
      for (int c = 0; c < kComponents; ++c)
        for (int v = 0; v < V; ++v)
          sum[part_of(c)].v[v] += other_x[c].v[v] * y[c].v[v] + x[c].v[v] * other_y[c].v[v];
      write_row(row, d, channel, sum);
    });
  }
}

template <int V, class T>
void tensor_message_weight(GraphEdges d, int32_t* listed, const MessageTerm<T>& in, const PairRows<T>& r,
                           Stream stream) {
  clear_rows(d, r, stream);
  list_reverses(d, listed, stream);
  d.listed = listed;
  const int64_t items = d.num_atoms * num_chunks(d.channels, V);
  for_team(team_size(items), [&](auto team) {
    const int64_t blocks = blocks_for(items * team.value * kWarp, kTableThreads);
    TMD_LAUNCH((tensor_message_weight_kernel<team.value, V, T>), blocks, kTableThreads, stream, d, in, r);
  });
  sum_shared_row<V>(d, in, r, stream);
}

}  // namespace torchmdnet
