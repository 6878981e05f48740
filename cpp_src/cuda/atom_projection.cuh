// Queries, keys and values of atoms; see cpu/atom_projection.cpp. All but the products of matrices.
#pragma once
#include <cmath>

#include "device.cuh"

namespace torchmdnet {

// x (N, C), scale, shift (C,)
template <class T>
struct LayerNorm {
  const T *x, *scale, *shift;
  int64_t num_atoms, channels;
  T eps;
};

// Mean of a row, and one over its width. The same bits in all lanes.
template <class T>
struct RowMoments {
  T mean, factor;

  __device__ RowMoments(const LayerNorm<T>& norm, const T* row) {
    T sum = 0, squares = 0;
    for (int64_t c = lane_of_thread(); c < norm.channels; c += kWarp) sum += row[c];
    mean = warp_sum(sum) / T(norm.channels);
    for (int64_t c = lane_of_thread(); c < norm.channels; c += kWarp) squares += (row[c] - mean) * (row[c] - mean);
    factor = T(1) / std::sqrt(warp_sum(squares) / T(norm.channels) + norm.eps);
  }
};

// A warp a row.
template <class T>
__global__ void layer_norm_kernel(LayerNorm<T> norm, T* out) {
  for (int64_t i = grid_thread() / kWarp; i < norm.num_atoms; i += grid_threads() / kWarp) {
    const T* row = norm.x + i * norm.channels;
    const RowMoments<T> moments(norm, row);
    for (int64_t c = lane_of_thread(); c < norm.channels; c += kWarp)
      out[i * norm.channels + c] = (row[c] - moments.mean) * moments.factor * norm.scale[c] + norm.shift[c];
  }
}

// A warp a row; grad is that by the normalised rows.
template <class T>
__global__ void layer_norm_backward_kernel(LayerNorm<T> norm, const T* grad, T* out) {
  const int64_t C = norm.channels;
  for (int64_t i = grid_thread() / kWarp; i < norm.num_atoms; i += grid_threads() / kWarp) {
    const T *row = norm.x + i * C, *by = grad + i * C;
    const RowMoments<T> moments(norm, row);
    T mean = 0, along = 0;
    for (int64_t c = lane_of_thread(); c < C; c += kWarp) {
      const T g = by[c] * norm.scale[c];
      mean += g;
      along += g * ((row[c] - moments.mean) * moments.factor);
    }
    mean = warp_sum(mean) / T(C);
    along = warp_sum(along) / T(C);
    for (int64_t c = lane_of_thread(); c < C; c += kWarp) {
      const T standard = (row[c] - moments.mean) * moments.factor;
      out[i * C + c] = (by[c] * norm.scale[c] - mean - standard * along) * moments.factor;
    }
  }
}

// Queries and keys (N, C), values (N, 3 C), and their rows side by side (N, 5 C).
constexpr int kProjections = 5;

// A thread a number.
template <class T>
__global__ void deal_projections_kernel(const T* joined, int64_t num_atoms, int64_t C, T* query, T* key, T* value) {
  for (int64_t n = grid_thread(); n < num_atoms * kProjections * C; n += grid_threads()) {
    const int64_t i = n / (kProjections * C), c = n % (kProjections * C);
    T* const to = c < C ? query + i * C + c : c < 2 * C ? key + i * C + c - C : value + i * 3 * C + c - 2 * C;
    *to = joined[n];
  }
}

template <class T>
__global__ void join_projections_kernel(const T* query, const T* key, const T* value, int64_t num_atoms, int64_t C,
                                        T* joined) {
  for (int64_t n = grid_thread(); n < num_atoms * kProjections * C; n += grid_threads()) {
    const int64_t i = n / (kProjections * C), c = n % (kProjections * C);
    joined[n] = c < C ? query[i * C + c] : c < 2 * C ? key[i * C + c - C] : value[i * 3 * C + c - 2 * C];
  }
}

}  // namespace torchmdnet
