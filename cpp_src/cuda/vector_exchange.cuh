// The exchange between scalars and vectors of atoms; see cpu/vector_exchange.cpp. All but the products of matrices.
#pragma once
#include "../vector_exchange.h"
#include "device.cuh"

namespace torchmdnet {

// x (N, C), v and vectors (N, 3, C), p (N, 3, 3 C), o (N, 3 C). A thread a channel of an atom.
template <class T>
__global__ void vector_exchange_kernel(const T* x, const T* v, const T* vectors, const T* p, const T* o,
                                       int64_t num_atoms, int64_t C, T* to_x, T* to_v) {
  for (int64_t n = grid_thread(); n < num_atoms * C; n += grid_threads()) {
    const int64_t i = n / C, c = n % C, axes = i * kVectorAxes * C + c, parts = i * kExchangeParts * C + c;
    const int64_t of_p = i * kVectorAxes * kExchangeParts * C + c;
    exchange_channel(x + n, v + axes, vectors + axes, p + of_p, o + parts, C, to_x + n, to_v + axes);
  }
}

// To the gradients by p and o, and a copy of that by the new vectors. A thread a channel of an atom.
template <class T>
__global__ void vector_exchange_backward_kernel(const T* grad_x, const T* grad_v, const T* p, const T* o,
                                                int64_t num_atoms, int64_t C, T* to_p, T* to_o, T* copy) {
  for (int64_t n = grid_thread(); n < num_atoms * C; n += grid_threads()) {
    const int64_t i = n / C, c = n % C, axes = i * kVectorAxes * C + c, parts = i * kExchangeParts * C + c;
    const int64_t of_p = i * kVectorAxes * kExchangeParts * C + c;
    exchange_slope(grad_x + n, grad_v + axes, p + of_p, o + parts, C, to_p + of_p, to_o + parts);
    for (int a = 0; a < kVectorAxes; ++a) copy[axes + a * C] = grad_v[axes + a * C];
  }
}

}  // namespace torchmdnet
