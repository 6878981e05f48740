// Edges of a graph between features of atoms and rows of pairs: what the kernels of tensor_message and
// tensor_environment share.
//
// As in table_edges.cuh, a warp, or the warps of a block where atoms are few, look after the edges of one atom, one
// edge at a time, the lanes after the channels. What is known of an edge is loaded by one lane for each, 32 edges at a
// time.
#pragma once
#include "table_edges.cuh"

namespace torchmdnet {

// Edges e of [row_ptr[i], row_ptr[i + 1]) have receiver i; those after the last row are padding.
struct GraphEdges {
  const int32_t *sender, *row_ptr, *pair;
  int64_t num_atoms, num_edges, num_pairs, channels;
  // (P, 2), of each pair of two atoms its edge to the atom of the lower number and that to the other one, which is the
  // reverse; -1 if there is none. Null where nobody asks for reverses.
  const int32_t* listed;

  TMD_SHARED int64_t plane() const { return num_atoms * channels; }
};

// One whose sender or pair is none, or whose reverse is not listed, has sender -1: it gives NaN instead of a wild read.
// A pair that is none is -1, too.
struct GraphEdge {
  int32_t sender, pair, reverse;
};

__device__ inline GraphEdge load_graph_edge(const GraphEdges& d, int64_t i, int64_t e) {
  const int32_t sender = __ldg(d.sender + e), pair = __ldg(d.pair + e);
  if (!is_index(pair, d.num_pairs)) return {-1, -1, -1};
  if (!is_index(sender, d.num_atoms)) return {-1, pair, -1};
  if (!d.listed || sender == i) return {sender, pair, static_cast<int32_t>(e)};
  const bool is_higher = i > sender;
  const int32_t own = d.listed[2 * int64_t(pair) + is_higher], reverse = d.listed[2 * int64_t(pair) + !is_higher];
  const bool is_found = own == e && is_index(reverse, d.num_edges) && d.sender[reverse] == i;
  return {is_found ? sender : -1, pair, reverse};
}

// Hands lane k's edge round.
__device__ inline GraphEdge edge_of_lane(const GraphEdge& own, int k) {
  return {__shfl_sync(kAllLanes, own.sender, k), __shfl_sync(kAllLanes, own.pair, k),
          __shfl_sync(kAllLanes, own.reverse, k)};
}

// Calls visit(e, edge) in all lanes for each edge e of atom i, in order; of S warps, each visits every S-th edge, but
// the first one all edges from the atom to itself: two of them may belong to one pair.
template <int S, class Visit>
__device__ void for_graph_edges(const GraphEdges& d, int64_t i, Visit visit) {
  const int64_t end = d.row_ptr[i + 1];
  for (int64_t base = d.row_ptr[i]; base < end; base += kWarp) {
    const int64_t own_number = base + lane_of_thread();
    const GraphEdge own = own_number < end ? load_graph_edge(d, i, own_number) : GraphEdge{-1, -1, -1};
    const int count = end - base < kWarp ? static_cast<int>(end - base) : kWarp;
    for (int k = 0; k < count; ++k) {
      const GraphEdge edge = edge_of_lane(own, k);
      if (rank_in_team<S>() == (edge.sender == i ? 0 : k % S)) visit(base + k, edge);
    }
  }
}

// Whether the row of the pair of two atoms is written by the warp that has atom i: one of both, and as often as not.
__device__ inline bool is_written_by(int64_t i, int64_t j) { return (i + j) % 2 ? i > j : i < j; }

template <class T, int V>
__device__ void spoil(Pack<T, V>& pack) {
  for (int v = 0; v < V; ++v) pack.v[v] = static_cast<T>(NAN);
}

}  // namespace torchmdnet
