// The steps of an interaction's update for one atom and channel (see torchmdnet/ops/tensor_update.py): what the CPU and
// the CUDA code share. All tensors are nine numbers side by side; kappa is the atom's factor.
#pragma once
#include "tensor_algebra.h"

namespace torchmdnet {

template <class T>
TMD_SHARED_INLINE T factor_of(const T* kappa, int64_t atom) {
  return kappa ? kappa[atom] : T(1);
}

// t = kappa (y m + m y), or without `both` 2 y m.
template <bool both, class T>
TMD_SHARED_INLINE void product_of_message(const T* y, const T* m, T kappa, T* t) {
  product_column<both>(y, m, T(1), T(1), 1, 0, t);
  for (int c = 0; c < kComponents; ++c) t[c] *= both ? kappa : T(2);
}

// x += d + kappa d d
template <class T>
TMD_SHARED_INLINE void add_change(const T* d, T kappa, T* x) {
  T square[kComponents];
  product_column<false>(d, d, T(1), T(1), 1, 0, square);
  for (int c = 0; c < kComponents; ++c) x[c] += d[c] + kappa * square[c];
}

// From the gradient by the result to that by d: g += kappa (g d^T + d^T g).
template <class T>
TMD_SHARED_INLINE void slope_of_change(const T* d, T kappa, T* g) {
  T slope[kComponents];
  product_column<true>(g, d, T(1), T(-1), 1, 0, slope);
  for (int c = 0; c < kComponents; ++c) g[c] += kappa * slope[c];
}

// From the gradient by t / (|t|^2 + 1) to those by y and m.
template <bool both, class T>
TMD_SHARED_INLINE void slope_of_message(const T* t, const T* by_normal, const T* y, const T* m, T kappa, T* to_y,
                                        T* to_m) {
  T g[kComponents];
  slope_column(t, by_normal, 1, 0, g);
  for (int c = 0; c < kComponents; ++c) g[c] *= both ? kappa : T(2);
  product_column<both>(g, m, T(1), T(-1), 1, 0, to_y);
  if (both) product_column<true>(g, y, T(1), T(-1), 1, 0, to_m);
  else product_column<false>(y, g, T(-1), T(1), 1, 0, to_m);
}

}  // namespace torchmdnet
