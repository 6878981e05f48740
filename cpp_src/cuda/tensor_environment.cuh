// The tensor of each atom's surroundings with a weight for each pair, and its adjoints; see cpu/tensor_environment.cpp.
#pragma once
#include "pair_rows.cuh"
#include "reverse_edges.cuh"

namespace torchmdnet {

// y (E, 9), weight (P, 3, C), own and other (N, C)
template <class T>
struct PairSurroundings {
  const T *y, *weight, *own, *other;
};

// V channels of a pair's weights.
template <int V, class T>
__device__ void read_weights(const GraphEdges& d, const T* weight, int32_t pair, int64_t channel, Pack<T, V>* w) {
  const T* row = weight + pair * (kParts * d.channels) + channel;
  for (int k = 0; k < kParts; ++k) w[k] = read_pack_once<T, V>(row + k * d.channels);
}

// A team of S warps a chunk of channels of an atom. out (9, N, C)
template <int S, int V, class T>
__global__ void __launch_bounds__(kTableThreads, kTableBlocks)
    tensor_environment_kernel(GraphEdges d, PairSurroundings<T> in, T* out) {
  const int64_t chunks = num_chunks(d.channels, V);
  for (int64_t item = grid_team<S>(); item < d.num_atoms * chunks; item += grid_teams<S>()) {
    const int64_t i = item / chunks;
    const LaneChannels<V> channel(d.channels, item % chunks);
    const Pack<T, V> own = read_pack<T, V>(in.own + i * d.channels + channel.first);
    Pack<T, V> sum[kComponents] = {};
    for_graph_edges<S>(d, i, [&](int64_t e, const GraphEdge& edge) {
      if (edge.sender < 0) {
        for (int c = 0; c < kComponents; ++c) spoil(sum[c]);
        return;
      }
      Pack<T, V> w[kParts];
      read_weights(d, in.weight, edge.pair, channel.first, w);
      const Pack<T, V> other = read_pack<T, V>(in.other + edge.sender * d.channels + channel.first);
      T y[kComponents];
      for (int c = 0; c < kComponents; ++c) y[c] = __ldg(in.y + e * kComponents + c);
      for (int v = 0; v < V; ++v) {
        T scaled[kParts];
        for (int k = 0; k < kParts; ++k) scaled[k] = w[k].v[v] * (own.v[v] + other.v[v]);
        for (int c = 0; c < kComponents; ++c) sum[c].v[v] += y[c] * scaled[part_of(c)];
      }
    });
    sum_team<S>(sum);
    for (int c = 0; rank_in_team<S>() == 0 && channel.any && c < kComponents; ++c)
      write_pack(out + c * d.plane() + i * d.channels + channel.first, sum[c]);
  }
}

// Sums over the components of each part of what an edge's direction and an atom's gradient have in common.
template <class T, int V>
__device__ void turn(const T* y, const Pack<T, V>* grad, int v, T* turned) {
  for (int k = 0; k < kParts; ++k) turned[k] = 0;
  for (int c = 0; c < kComponents; ++c) turned[part_of(c)] += y[c] * grad[c].v[v];
}

// What an edge from an atom to itself adds to its pair's row.
template <class T>
struct EnvironmentTerm {
  PairSurroundings<T> in;
  const T* grad;  // (9, N, C)
  int64_t plane, channels;

  template <int V>
  __device__ void operator()(int64_t i, int64_t e, const LaneChannels<V>& channel, Pack<T, V>* sum) const {
    const int64_t here = i * channels + channel.first;
    const Pack<T, V> own = read_pack<T, V>(in.own + here), other = read_pack<T, V>(in.other + here);
    Pack<T, V> g[kComponents];
    for (int c = 0; c < kComponents; ++c) g[c] = read_pack<T, V>(grad + c * plane + here);
    for (int v = 0; v < V; ++v) {
      T turned[kParts];
      turn(in.y + e * kComponents, g, v, turned);
      for (int k = 0; k < kParts; ++k) sum[k].v[v] += turned[k] * (own.v[v] + other.v[v]);
    }
  }
};

// y (E, 9), own and other (N, C)
template <class T>
struct EnvironmentGradients {
  T *y, *own, *other;
};

// V channels of one atom: what it is, what has come to it, and what it gets.
template <class T, int V>
struct EnvironmentAtom {
  Pack<T, V> grad[kComponents], own, other;

  __device__ EnvironmentAtom(const EnvironmentTerm<T>& d, int64_t i, int64_t channel) {
    const int64_t here = i * d.channels + channel;
    for (int c = 0; c < kComponents; ++c) grad[c] = read_pack<T, V>(d.grad + c * d.plane + here);
    own = read_pack<T, V>(d.in.own + here);
    other = read_pack<T, V>(d.in.other + here);
  }
};

// V channels of an edge e from atom j to atom i and of its reverse: adds to what i's own and other features get, makes
// the row of the pair, and the gradients by e's y, the latter summed over the channels of all lanes.
template <class T, int V>
__device__ void edge_and_reverse(const EnvironmentAtom<T, V>& i, const EnvironmentAtom<T, V>& j, const Pack<T, V>* w,
                                 const T* y, const T* reverse_y, bool any, Pack<T, V>* sum, Pack<T, V>* row, T* to_y) {
  for (int c = 0; c < kComponents; ++c) to_y[c] = 0;
  for (int v = 0; v < V; ++v) {
    const T z = i.own.v[v] + j.other.v[v], reverse_z = j.own.v[v] + i.other.v[v];
    T turned[kParts], reverse_turned[kParts];
    turn(y, i.grad, v, turned);
    turn(reverse_y, j.grad, v, reverse_turned);
    for (int k = 0; k < kParts; ++k) {
      sum[0].v[v] += turned[k] * w[k].v[v];
      sum[1].v[v] += reverse_turned[k] * w[k].v[v];
      row[k].v[v] = turned[k] * z + reverse_turned[k] * reverse_z;
    }
    for (int c = 0; c < kComponents; ++c) to_y[c] += i.grad[c].v[v] * (w[part_of(c)].v[v] * z);
  }
  for (int c = 0; c < kComponents; ++c) to_y[c] = warp_sum(any ? to_y[c] : T(0));
}

// A team of S warps an atom, which goes through the edges once for each chunk of channels. Where the atom receives, it
// sends along the reverse: so both of its sums, and the rows of the pairs that are its own, come from its own edges.
// Padding gets zero.
template <int S, int V, class T>
__global__ void __launch_bounds__(kTableThreads, kTableBlocks - 1)
    tensor_environment_backward_kernel(GraphEdges d, EnvironmentTerm<T> in, EnvironmentGradients<T> to, PairRows<T> r) {
  const int64_t chunks = num_chunks(d.channels, V);
  const int32_t shared = shared_pair(d);
  const int lane = lane_of_thread();
  for (int64_t i = grid_team<S>(); i < d.num_atoms; i += grid_teams<S>()) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const LaneChannels<V> channel(d.channels, chunk);
      const EnvironmentAtom<T, V> here(in, i, channel.first);
      Pack<T, V> sum[2] = {};
      for_graph_edges<S>(d, i, [&](int64_t e, const GraphEdge& edge) {
        T* const at = to.y + e * kComponents + lane;
        if (edge.sender < 0) {
          spoil(sum[0]);
          spoil(sum[1]);
          if (lane < kComponents) *at = static_cast<T>(NAN);
          return;
        }
        const int64_t j = edge.sender;
        const EnvironmentAtom<T, V> there(in, j, channel.first);
        Pack<T, V> w[kParts], row[kParts];
        read_weights(d, in.in.weight, edge.pair, channel.first, w);
        T y[kComponents], reverse_y[kComponents], to_y[kComponents], mine = 0;
        for (int c = 0; c < kComponents; ++c) {
          y[c] = __ldg(in.in.y + e * kComponents + c);
          reverse_y[c] = __ldg(in.in.y + int64_t(edge.reverse) * kComponents + c);
        }
        edge_and_reverse(here, there, w, y, reverse_y, channel.any, sum, row, to_y);
        for (int c = 0; c < kComponents; ++c) mine = lane == c ? to_y[c] : mine;
        if (lane < kComponents) *at = chunk == 0 ? mine : *at + mine;
        T* const of_pair = row_of_pair(r, d, edge.pair, channel);
        if (j != i) {
          if (is_written_by(i, j)) write_row(of_pair, d, channel, row);
        } else if (edge.pair != shared) {
          Pack<T, V> single[kParts] = {};
          in(i, e, channel, single);
          add_to_row(of_pair, d, channel, single);
        }
      });
      sum_team<S>(sum);
      if (rank_in_team<S>() != 0 || !channel.any) continue;
      write_pack(to.own + i * d.channels + channel.first, sum[0]);
      write_pack(to.other + i * d.channels + channel.first, sum[1]);
    }
  }
  const int64_t num_filled = chunks > 0 ? d.row_ptr[d.num_atoms] : 0;
  for (int64_t n = num_filled * kComponents + grid_thread(); n < d.num_edges * kComponents; n += grid_threads())
    to.y[n] = 0;
}

template <int V, class T>
void tensor_environment(const GraphEdges& d, const PairSurroundings<T>& in, T* out, Stream stream) {
  const int64_t items = d.num_atoms * num_chunks(d.channels, V);
  for_team(team_size(items), [&](auto team) {
    const int64_t blocks = blocks_for(items * team.value * kWarp, kTableThreads);
    TMD_LAUNCH((tensor_environment_kernel<team.value, V, T>), blocks, kTableThreads, stream, d, in, out);
  });
}

template <int V, class T>
void tensor_environment_backward(GraphEdges d, int32_t* listed, const EnvironmentTerm<T>& in,
                                 const EnvironmentGradients<T>& to, const PairRows<T>& r, Stream stream) {
  clear_rows(d, r, stream);
  list_reverses(d, listed, stream);
  d.listed = listed;
  for_team(team_size(d.num_atoms), [&](auto team) {
    const int64_t threads = d.num_atoms * team.value * kWarp, wanted = threads > d.num_edges ? threads : d.num_edges;
    TMD_LAUNCH((tensor_environment_backward_kernel<team.value, V, T>), blocks_for(wanted, kTableThreads),
               kTableThreads, stream, d, in, to, r);
  });
  sum_shared_row<V>(d, in, r, stream);
}

}  // namespace torchmdnet
