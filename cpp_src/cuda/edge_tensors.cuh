// Tensors of the directions of edges, and gradients by distances as gradients by vectors; see cpu/edge_tensors.cpp.
#pragma once
#include "../edge_tensors.h"
#include "device.cuh"

namespace torchmdnet {

// A thread an edge.
template <class T>
__global__ void edge_tensors_kernel(const T* vector, int64_t num_edges, T* out) {
  for (int64_t e = grid_thread(); e < num_edges; e += grid_threads())
    tensor_of_edge(vector + 3 * e, out + kComponents * e);
}

template <class T>
__global__ void edge_tensors_backward_kernel(const T* grad, const T* vector, int64_t num_edges, T* out) {
  for (int64_t e = grid_thread(); e < num_edges; e += grid_threads())
    slope_of_edge(grad + kComponents * e, vector + 3 * e, out + 3 * e);
}

template <class T>
__global__ void sender_directions_kernel(const T* vector, int64_t num_edges, T* out) {
  for (int64_t e = grid_thread(); e < num_edges; e += grid_threads()) sender_direction(vector + 3 * e, out + 3 * e);
}

template <class T>
__global__ void sender_directions_backward_kernel(const T* grad, const T* vector, int64_t num_edges, T* out) {
  for (int64_t e = grid_thread(); e < num_edges; e += grid_threads())
    slope_of_sender_direction(grad + 3 * e, vector + 3 * e, out + 3 * e);
}

template <class T>
__global__ void along_vectors_kernel(const T* by_vector, const T* by_distance, const T* vector, const T* distance,
                                     int64_t num_edges, T* out) {
  for (int64_t e = grid_thread(); e < num_edges; e += grid_threads())
    along_edge(by_vector + 3 * e, by_distance[e], vector + 3 * e, distance[e], out + 3 * e);
}

}  // namespace torchmdnet
