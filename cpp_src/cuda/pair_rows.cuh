// Rows of pairs (P, 3, C), each the sum of what the pair's edges add: the same bits every time, and no atomics.
//
// An edge and its reverse are one pair, whose row is written by one warp: is_written_by. Rows of edges from an atom to
// an image of itself are added up by the warp that has the atom. Where the list begins with an edge from an atom to
// itself, its pair is one that edges of all atoms may share: what they add is summed in groups of atoms, and the groups
// by a block for each 32 numbers, in a fixed order. Rows of pairs without edges are zero.
#pragma once
#include "graph_edges.cuh"
#include "workspace.cuh"

namespace torchmdnet {

constexpr int kGroupThreads = 1024;

template <class T>
struct PairRows {
  T* rows;       // (P, 3, C)
  T* of_groups;  // (G, 3, C), each group's share of the pair that many edges share
  int64_t num_groups;
};

// Returns the bytes of the workspace behind `base`.
template <class T>
int64_t lay_out(PairRows<T>& r, const GraphEdges& d, char* base) {
  constexpr int64_t kMostGroups = 2048;  // warps that keep a large GPU's memory busy; fixed, as the sum depends on it
  r.num_groups = d.num_atoms < kMostGroups ? d.num_atoms : kMostGroups;
  Workspace space(base);
  space.take(r.of_groups, r.num_groups * kParts * d.channels);
  return space.size();
}

// The pair that edges of many atoms share, or -1.
__device__ inline int32_t shared_pair(const GraphEdges& d) {
  if (d.num_atoms == 0 || d.row_ptr[1] <= 0 || d.sender[0] != 0) return -1;
  return is_index(d.pair[0], d.num_pairs) ? d.pair[0] : -1;
}

// V channels of one row.
template <class T, int V>
__device__ T* row_of_pair(const PairRows<T>& r, const GraphEdges& d, int32_t pair, const LaneChannels<V>& channel) {
  return r.rows + pair * (kParts * d.channels) + channel.first;
}

template <class T, int V>
__device__ void write_row(T* row, const GraphEdges& d, const LaneChannels<V>& channel, const Pack<T, V>* sum) {
  for (int k = 0; channel.any && k < kParts; ++k) write_pack(row + k * d.channels, sum[k]);
}

// Adds to a row that nobody else has.
template <class T, int V>
__device__ void add_to_row(T* row, const GraphEdges& d, const LaneChannels<V>& channel, Pack<T, V>* sum) {
  for (int k = 0; channel.any && k < kParts; ++k) {
    const T* before = row + k * d.channels;
    for (int v = 0; v < V; ++v) sum[k].v[v] += before[v];
  }
  write_row(row, d, channel, sum);
}

// A warp a group of atoms and a chunk of channels, after the rows of all other pairs are written. term(i, e, channel,
// sum) adds what edge e from atom i to itself adds to its pair's row. Rows of edges that are none become NaN.
template <int V, class T, class Term>
__global__ void sum_shared_row_kernel(GraphEdges d, Term term, PairRows<T> r) {
  const int64_t chunks = num_chunks(d.channels, V);
  const int32_t shared = shared_pair(d);
  for (int64_t item = grid_thread() / kWarp; item < r.num_groups * chunks; item += grid_threads() / kWarp) {
    const int64_t group = item / chunks;
    const LaneChannels<V> channel(d.channels, item % chunks);
    Pack<T, V> sum[kParts] = {};
    for (int64_t i = d.num_atoms * group / r.num_groups; i < d.num_atoms * (group + 1) / r.num_groups; ++i) {
      const int64_t end = d.row_ptr[i + 1];
      for (int64_t base = d.row_ptr[i]; base < end; base += kWarp) {
        const int64_t e = base + lane_of_thread();
        const GraphEdge own = e < end ? load_graph_edge(d, i, e) : GraphEdge{-1, -1, -1};
        const bool is_known = own.sender >= 0, is_shared = own.sender == i && own.pair == shared;
        unsigned left = __ballot_sync(kAllLanes, own.pair >= 0 && (!is_known || is_shared));
        for (; left; left &= left - 1) {
          const int k = __ffs(static_cast<int>(left)) - 1;
          const GraphEdge edge = edge_of_lane(own, k);
          if (edge.sender >= 0) {
            term(i, base + k, channel, sum);
            continue;
          }
          Pack<T, V> nothing[kParts];
          for (int part = 0; part < kParts; ++part) spoil(edge.pair == shared ? sum[part] : nothing[part]);
          if (edge.pair != shared) write_row(row_of_pair(r, d, edge.pair, channel), d, channel, nothing);
        }
      }
    }
    write_row(r.of_groups + group * (kParts * d.channels) + channel.first, d, channel, sum);
  }
}

// A block for each 32 numbers of the shared row.
template <class T>
__global__ void sum_groups_kernel(GraphEdges d, PairRows<T> r) {
  __shared__ T of_warps[kGroupThreads / kWarp][kWarp];
  const int32_t shared = shared_pair(d);
  if (shared < 0) return;
  const int lane = lane_of_thread(), warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t numbers = kParts * d.channels;
  for (int64_t base = int64_t(blockIdx.x) * kWarp; base < numbers; base += int64_t(gridDim.x) * kWarp) {
    const int64_t n = base + lane;
    T sum = 0;
    for (int64_t group = warp; n < numbers && group < r.num_groups; group += kGroupThreads / kWarp)
      sum += r.of_groups[group * numbers + n];
    of_warps[warp][lane] = sum;
    __syncthreads();
    for (int other = 1; warp == 0 && other < kGroupThreads / kWarp; ++other) sum += of_warps[other][lane];
    if (warp == 0 && n < numbers) r.rows[shared * numbers + n] = sum;
    __syncthreads();
  }
}

template <class T>
void clear_rows(const GraphEdges& d, const PairRows<T>& r, Stream stream) {
  const size_t bytes = static_cast<size_t>(d.num_pairs * kParts * d.channels) * sizeof(T);
  if (bytes > 0) check_cuda(cudaMemsetAsync(r.rows, 0, bytes, stream), "memset");
}

template <int V, class T, class Term>
void sum_shared_row(const GraphEdges& d, const Term& term, const PairRows<T>& r, Stream stream) {
  const int64_t threads = r.num_groups * num_chunks(d.channels, V) * kWarp;
  TMD_LAUNCH((sum_shared_row_kernel<V, T, Term>), blocks_for(threads, kTableThreads), kTableThreads, stream, d, term,
             r);
  TMD_LAUNCH(sum_groups_kernel<T>, blocks_for(kParts * d.channels, kWarp), kGroupThreads, stream, d, r);
}

}  // namespace torchmdnet
