// Which edge of a graph is the reverse of another one: that of the same pair in the other direction.
//
// Edges of two atoms are written into a table of pairs, side by side, each into the place of its direction; who wants
// the reverse looks into the other one (load_graph_edge). Edges from an atom to itself or its images need none: all of
// them are in the atom's own row.
#pragma once
#include "graph_edges.cuh"
#include "workspace.cuh"

namespace torchmdnet {

// Where the edges of pairs are listed. Returns the bytes of the workspace behind `base`: 8 a pair.
inline int64_t lay_out_reverses(const GraphEdges& d, int32_t*& listed, char* base) {
  Workspace space(base);
  space.take(listed, 2 * d.num_pairs);
  return space.size();
}

// A warp a row, a lane an edge.
static __global__ void list_reverses_kernel(GraphEdges d, int32_t* listed) {
  for (int64_t i = grid_thread() / kWarp; i < d.num_atoms; i += grid_threads() / kWarp) {
    for (int64_t e = d.row_ptr[i] + lane_of_thread(); e < d.row_ptr[i + 1]; e += kWarp) {
      const int32_t sender = d.sender[e], pair = d.pair[e];
      if (is_index(sender, d.num_atoms) && is_index(pair, d.num_pairs) && sender != i)
        listed[2 * int64_t(pair) + (i > sender)] = static_cast<int32_t>(e);
    }
  }
}

inline void list_reverses(const GraphEdges& d, int32_t* listed, Stream stream) {
  const size_t bytes = 2 * static_cast<size_t>(d.num_pairs) * sizeof(int32_t);
  if (bytes > 0) check_cuda(cudaMemsetAsync(listed, 0xff, bytes, stream), "memset");
  TMD_LAUNCH(list_reverses_kernel, blocks_for(d.num_atoms * kWarp, kBlock), kBlock, stream, d, listed);
}

}  // namespace torchmdnet
