// Edges whose weights are read from a table: what the kernels on them share.
//
// A warp looks after the edges of one atom, one edge at a time, its lanes after the channels; where atoms are few, the
// warps of a block share one atom. What is known of an edge is loaded by one lane for each, 32 edges at a time, and
// handed round. Sums over edges stay in registers. A table of 2048 intervals for 128 channels in float32 takes 12.6 MB,
// which the L2 cache of a large GPU holds; rows of the table are not kept in the L1 cache, so that it holds features of
// senders, which the next atoms want too.
//
// They are compiled, and run on threads of a CPU by the tests. No GPU has run them yet: what is said of caches and
// registers is reckoned from bytes and from the compiler's report.
#pragma once
#include "../edges.h"
#include "../radial_table.h"
#include "pack.cuh"

namespace torchmdnet {

// Threads of a block, and blocks that a multiprocessor must have registers for: 168 a thread, enough for all loads of
// an edge to be under way at once. Twelve warps with 10 KB each hide the way to the L2 cache.
constexpr int kTableThreads = 128, kTableBlocks = 3;

// Edges e of [row_ptr[i], row_ptr[i + 1]) have receiver i; those after the last row are padding.
template <class T>
struct TableEdges {
  const T *table, *s;
  const int32_t *receiver, *sender, *row_ptr, *pair;
  int64_t num_atoms, num_edges, num_pairs, channels;
  int32_t num_intervals;

  TMD_SHARED int64_t plane() const { return num_atoms * channels; }
};

// Where fewer warps than these would be at work, warps share atoms: as many as a GPU of a hundred multiprocessors runs.
constexpr int64_t kFewWarps = 1200;
constexpr int kTeam = kTableThreads / kWarp;
inline int team_size(int64_t num_warps) { return num_warps < kFewWarps ? kTeam : 1; }

// Calls body(std::integral_constant<int, S>) for teams of S warps.
template <class Body>
void for_team(int size, const Body& body) {
  if (size == 1) return body(std::integral_constant<int, 1>());
  body(std::integral_constant<int, kTeam>());
}

// The number of this warp's team, how many teams there are, and the number of this warp in it.
template <int S>
__device__ int64_t grid_team() {
  return grid_thread() / (kWarp * S);
}
template <int S>
__device__ int64_t grid_teams() {
  return grid_threads() / (kWarp * S);
}
template <int S>
__device__ int rank_in_team() {
  return static_cast<int>(threadIdx.x) / kWarp % S;
}

// The channels of this lane of the chunk-th part of a row: the first of V, and whether there are any.
template <int V>
struct LaneChannels {
  int64_t first;
  bool any;

  __device__ LaneChannels(int64_t channels, int64_t chunk) {
    const int64_t own = (chunk * kWarp + lane_of_thread()) * V;
    any = own < channels;
    first = any ? own : 0;  // lanes without channels of their own do the work of others, and keep nothing
  }
};
TMD_SHARED int64_t num_chunks(int64_t channels, int width) { return divide_up(channels, kWarp * width); }

template <class T>
struct TableEdge {
  TablePlace<T> place;
  int32_t sender, pair;  // pair is -1 if it is none
};

// An index that is no atom or pair gives NaN instead of a wild read.
template <class T>
__device__ TableEdge<T> load_edge(const TableEdges<T>& d, int64_t i, int64_t e) {
  const int32_t sender = __ldg(d.sender + e), pair = __ldg(d.pair + e);
  const bool is_atom = is_index(sender, d.num_atoms), is_pair = is_index(pair, d.num_pairs);
  const T s = is_atom && is_pair ? __ldg(d.s + pair) : static_cast<T>(NAN);
  return {table_place(s, d.num_intervals), is_atom ? sender : static_cast<int32_t>(i), is_pair ? pair : -1};
}

// Calls visit(e, edge) in all lanes for each edge e of atom i, in order; of S warps, each visits every S-th edge.
template <int S, class T, class Visit>
__device__ void for_edges(const TableEdges<T>& d, int64_t i, Visit visit) {
  const int64_t end = d.row_ptr[i + 1];
  for (int64_t base = d.row_ptr[i]; base < end; base += kWarp) {
    const int64_t own_number = base + lane_of_thread();
    const TableEdge<T> own = own_number < end ? load_edge(d, i, own_number) : TableEdge<T>{};
    const int count = end - base < kWarp ? static_cast<int>(end - base) : kWarp;
    for (int k = rank_in_team<S>(); k < count; k += S) {
      TableEdge<T> edge;
      edge.place.interval = __shfl_sync(kAllLanes, own.place.interval, k);
      edge.place.t = __shfl_sync(kAllLanes, own.place.t, k);
      edge.sender = __shfl_sync(kAllLanes, own.sender, k);
      edge.pair = __shfl_sync(kAllLanes, own.pair, k);
      visit(base + k, edge);
    }
  }
}

// Adds up K sums of each warp of a team, in order, in the registers of its first warp.
template <int S, class T, int V, int K>
__device__ void sum_team(Pack<T, V> (&sum)[K]) {
  if constexpr (S > 1) {
    static_assert(S * kWarp == kTableThreads);
    const int rank = rank_in_team<S>(), lane = lane_of_thread();
    __shared__ Pack<T, V> of_warps[S - 1][K][kWarp];
    __syncthreads();  // what was here before has been read
    for (int c = 0; rank > 0 && c < K; ++c) of_warps[rank - 1][c][lane] = sum[c];
    __syncthreads();
    for (int other = 0; rank == 0 && other < S - 1; ++other)
      for (int c = 0; c < K; ++c)
        for (int v = 0; v < V; ++v) sum[c].v[v] += of_warps[other][c][lane].v[v];
  }
}

// Writes the sums over the edges of atom i, those of the warps of a team added up. out: (K, N, C)
template <int S, class T, int V, int K>
__device__ void write_sums(const TableEdges<T>& d, int64_t i, const LaneChannels<V>& channel, Pack<T, V> (&sum)[K],
                           T* out) {
  sum_team<S>(sum);
  for (int c = 0; rank_in_team<S>() == 0 && channel.any && c < K; ++c)
    write_pack(out + c * d.plane() + i * d.channels + channel.first, sum[c]);
}

// V channels of the coefficients of the first R of the K functions of a table.
template <class T, int V, int K = kParts, int R = K>
struct TableRow {
  Pack<T, V> c[R][kCoefficients];

  __device__ TableRow(const TableEdges<T>& d, int32_t interval, int64_t channel) {
    const T* rows = d.table + interval * (kCoefficients * K * d.channels) + channel;
    for (int b = 0; b < kCoefficients; ++b)
      for (int k = 0; k < R; ++k) c[k][b] = read_pack_once<T, V>(rows + (b * K + k) * d.channels);
  }
  __device__ T value(int number, int v, T t) const { return polynomial(coefficients(number, v).c, t); }
  __device__ T slope(int number, int v, T t) const { return polynomial_slope(coefficients(number, v).c, t); }

 private:
  struct Coefficients {
    T c[kCoefficients];
  };
  __device__ Coefficients coefficients(int number, int v) const {
    Coefficients of_channel;
    for (int b = 0; b < kCoefficients; ++b) of_channel.c[b] = c[number][b].v[v];
    return of_channel;
  }
};

}  // namespace torchmdnet
