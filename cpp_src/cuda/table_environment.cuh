// The tensor of each atom's surroundings with weights read from a table, and its gradients; see
// cpu/table_environment.cpp.
#pragma once
#include "slope_sums.cuh"
#include "table_edges.cuh"

namespace torchmdnet {

// y (E, 9), own and other (N, C)
template <class T>
struct Surroundings {
  const T *y, *own, *other;
};

// A team of S warps a chunk of channels of an atom.
template <int S, class T, int V>
__global__ void __launch_bounds__(kTableThreads, kTableBlocks)
    table_environment_kernel(TableEdges<T> d, Surroundings<T> in, T* out) {
  const int64_t chunks = num_chunks(d.channels, V);
  for (int64_t item = grid_team<S>(); item < d.num_atoms * chunks; item += grid_teams<S>()) {
    const int64_t i = item / chunks;
    const LaneChannels<V> channel(d.channels, item % chunks);
    const int64_t here = i * d.channels + channel.first;
    const Pack<T, V> own = read_pack<T, V>(in.own + here);
    Pack<T, V> sum[kComponents] = {};
    for_edges<S>(d, i, [&](int64_t e, const TableEdge<T>& edge) {
      const TableRow<T, V> row(d, edge.place.interval, channel.first);
      const Pack<T, V> other = read_pack<T, V>(in.other + edge.sender * d.channels + channel.first);
      T y[kComponents];
      for (int c = 0; c < kComponents; ++c) y[c] = __ldg(in.y + e * kComponents + c);
      for (int v = 0; v < V; ++v) {
        const T z = own.v[v] + other.v[v];
        T w[kParts];
        for (int k = 0; k < kParts; ++k) w[k] = row.value(k, v, edge.place.t) * z;
        for (int c = 0; c < kComponents; ++c) sum[c].v[v] += y[c] * w[part_of(c)];
      }
    });
    write_sums<S>(d, i, channel, sum, out);
  }
}

// Of one edge, the derivatives by y and, last, by s: the same in all lanes.
template <class T, int V>
__device__ void edge_gradients(const TableRow<T, V>& row, const Pack<T, V>* grad, const Pack<T, V>& own,
                               const Pack<T, V>& other, const T* y, T t, bool any, T* out) {
  for (int n = 0; n <= kComponents; ++n) out[n] = 0;
  for (int v = 0; v < V; ++v) {
    const T z = own.v[v] + other.v[v];
    T w[kParts], turned[kParts] = {};
    for (int k = 0; k < kParts; ++k) w[k] = row.value(k, v, t) * z;
    for (int c = 0; c < kComponents; ++c) {
      out[c] += grad[c].v[v] * w[part_of(c)];
      turned[part_of(c)] += y[c] * grad[c].v[v];
    }
    for (int k = 0; k < kParts; ++k) out[kComponents] += turned[k] * row.slope(k, v, t) * z;
  }
  for (int n = 0; n <= kComponents; ++n) out[n] = warp_sum(any ? out[n] : T(0));
}

// A team of S warps an atom, which goes through the edges once for each chunk of channels. Padding gets zero.
template <int S, class T, int V>
__global__ void __launch_bounds__(kTableThreads, kTableBlocks)
    table_environment_backward_kernel(TableEdges<T> d, Surroundings<T> in, const T* grad, T* to_y, SlopeSums<T> to_s) {
  const int64_t plane = d.plane(), chunks = num_chunks(d.channels, V);
  const int32_t shared = shared_pair(d);
  const int lane = lane_of_thread();
  for (int64_t i = grid_team<S>(); i < d.num_atoms; i += grid_teams<S>()) {
    RowSlopes<T> slopes(to_s, shared);
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const LaneChannels<V> channel(d.channels, chunk);
      const int64_t here = i * d.channels + channel.first;
      const Pack<T, V> own = read_pack<T, V>(in.own + here);
      Pack<T, V> g[kComponents];
      for (int c = 0; c < kComponents; ++c) g[c] = read_pack<T, V>(grad + c * plane + here);
      for_edges<S>(d, i, [&](int64_t e, const TableEdge<T>& edge) {
        const TableRow<T, V> row(d, edge.place.interval, channel.first);
        const Pack<T, V> other = read_pack<T, V>(in.other + edge.sender * d.channels + channel.first);
        T y[kComponents], sums[kComponents + 1], mine = 0;
        for (int c = 0; c < kComponents; ++c) y[c] = __ldg(in.y + e * kComponents + c);
        edge_gradients(row, g, own, other, y, edge.place.t, channel.any, sums);
        for (int n = 0; n <= kComponents; ++n) mine = lane == n ? sums[n] : mine;
        T* const at = to_y + e * kComponents + lane;
        if (lane < kComponents) *at = chunk == 0 ? mine : *at + mine;
        if (lane == kComponents) slopes.add(e, edge.pair, mine, chunk == 0, chunk == chunks - 1);
      });
    }
    if (lane == kComponents) slopes.finish(i * S + rank_in_team<S>());
  }
  const int64_t num_filled = chunks > 0 ? d.row_ptr[d.num_atoms] : 0;
  for (int64_t n = num_filled * kComponents + grid_thread(); n < d.num_edges * kComponents; n += grid_threads())
    to_y[n] = 0;
}

template <class T, int V>
void table_environment(const TableEdges<T>& d, const Surroundings<T>& in, T* out, Stream stream) {
  const int64_t items = d.num_atoms * num_chunks(d.channels, V);
  for_team(team_size(items), [&](auto team) {
    const int64_t blocks = blocks_for(items * team.value * kWarp, kTableThreads);
    TMD_LAUNCH((table_environment_kernel<team.value, T, V>), blocks, kTableThreads, stream, d, in, out);
  });
}

template <class T, int V>
void table_environment_backward(const TableEdges<T>& d, const Surroundings<T>& in, const T* grad, T* to_y,
                                const SlopeSums<T>& to_s, Stream stream) {
  clear_slopes(d, to_s, stream);
  for_team(to_s.team, [&](auto team) {
    const int64_t threads = to_s.num_warps(d) * kWarp, wanted = threads > d.num_edges ? threads : d.num_edges;
    TMD_LAUNCH((table_environment_backward_kernel<team.value, T, V>), blocks_for(wanted, kTableThreads), kTableThreads,
               stream, d, in, grad, to_y, to_s);
  });
  TMD_LAUNCH(sum_shared_pair_kernel<T>, 1, kSumThreads, stream, d, to_s);
}

}  // namespace torchmdnet
