// Distances of pairs from those of their edges, and the derivative; see cpu/pair_distances.cpp.
#pragma once
#include <cmath>

#include "device.cuh"

namespace torchmdnet {

// A thread a pair. An edge that there is not gives NaN instead of a wild read.
template <class T>
__global__ void pair_distances_kernel(const T* distance, const int32_t* first, int64_t num_pairs, int64_t num_edges,
                                      T* out) {
  for (int64_t p = grid_thread(); p < num_pairs; p += grid_threads())
    out[p] = is_index(first[p], num_edges) ? distance[first[p]] : static_cast<T>(NAN);
}

// A thread an edge.
template <class T>
__global__ void pair_distances_backward_kernel(const T* grad, const int32_t* first, const int32_t* pair,
                                               int64_t num_pairs, int64_t num_edges, T* out) {
  for (int64_t e = grid_thread(); e < num_edges; e += grid_threads()) {
    const int32_t p = pair[e];
    out[e] = !is_index(p, num_pairs) ? static_cast<T>(NAN) : first[p] == e ? grad[p] : T(0);
  }
}

}  // namespace torchmdnet
