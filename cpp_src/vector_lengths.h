// Lengths of vectors for one channel of an atom, and the derivative (see torchmdnet/ops/vector_lengths.py): what the CPU
// and the CUDA code share. Arrays begin at the channel; axis a is a stride C further.
#pragma once
#include <cmath>

#include "atom_input.h"
#include "shared.h"

namespace torchmdnet {

constexpr int kLengthAxes = 3;

template <class T>
TMD_SHARED_INLINE T vector_length(const T* v, int64_t C) {
  return std::sqrt(v[0] * v[0] + v[C] * v[C] + v[2 * C] * v[2 * C]);
}

// g v / |v|, zero where v is.
template <class T>
TMD_SHARED_INLINE void slope_of_length(T grad, const T* v, int64_t C, T* out) {
  const T length = vector_length(v, C), factor = length > 0 ? grad / length : T(0);
  for (int a = 0; a < kLengthAxes; ++a) out[a * C] = factor * v[a * C];
}

inline void check_length_vectors(const Tensor& v) {
  require_float(v, "vectors must be float32 or float64");
  require(v.contiguous() && v.dim() == 3 && v.size(1) == kLengthAxes, "vectors must be contiguous, of shape (N, 3, C)");
}

inline void check_length_gradient(const Tensor& grad, const Tensor& v) {
  require(grad.contiguous() && grad.dtype() == v.dtype() && is_matrix(grad, v.size(0), v.size(2)),
          "the gradient must be contiguous, of shape (N, C) and of the vectors' type");
}

}  // namespace torchmdnet
