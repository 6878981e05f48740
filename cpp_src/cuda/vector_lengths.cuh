// Lengths of vectors and their derivative; see cpu/vector_lengths.cpp. A thread a channel of an atom.
#pragma once
#include "../vector_lengths.h"
#include "device.cuh"

namespace torchmdnet {

template <class T>
__global__ void vector_lengths_kernel(const T* v, int64_t num_atoms, int64_t C, T* out) {
  for (int64_t n = grid_thread(); n < num_atoms * C; n += grid_threads())
    out[n] = vector_length(v + n / C * kLengthAxes * C + n % C, C);
}

template <class T>
__global__ void vector_lengths_backward_kernel(const T* grad, const T* v, int64_t num_atoms, int64_t C, T* out) {
  for (int64_t n = grid_thread(); n < num_atoms * C; n += grid_threads()) {
    const int64_t at = n / C * kLengthAxes * C + n % C;
    slope_of_length(grad[n], v + at, C, out + at);
  }
}

}  // namespace torchmdnet
