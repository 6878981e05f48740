// The update of an interaction; see cpu/tensor_update.cpp. kappa (N,), or null for 1.
#pragma once
#include "../tensor_update.h"
#include "column_passes.cuh"

namespace torchmdnet {

// From y and m to t / (|t|^2 + 1), t their product.
template <class T, bool both>
struct ProductPass {
  static constexpr int kIn = 2, kOut = 1;
  const T* kappa;

  __device__ void column(const ColumnPlace& at, const T (&x)[2][kComponents], T (&out)[1][kComponents]) const {
    T t[kComponents];
    product_of_message<both>(x[0], x[1], factor_of(kappa, at.i), t);
    normalize_column(t, 1, 0, out[0]);
  }
};

// From x and d to x + d + kappa d d.
template <class T>
struct ChangePass {
  static constexpr int kIn = 2, kOut = 1;
  const T* kappa;

  __device__ void column(const ColumnPlace& at, const T (&x)[2][kComponents], T (&out)[1][kComponents]) const {
    for (int c = 0; c < kComponents; ++c) out[0][c] = x[0][c];
    add_change(x[1], factor_of(kappa, at.i), out[0]);
  }
};

// From the gradient and d to the gradient by d.
template <class T>
struct ChangeSlopePass {
  static constexpr int kIn = 2, kOut = 1;
  const T* kappa;

  __device__ void column(const ColumnPlace& at, const T (&x)[2][kComponents], T (&out)[1][kComponents]) const {
    for (int c = 0; c < kComponents; ++c) out[0][c] = x[0][c];
    slope_of_change(x[1], factor_of(kappa, at.i), out[0]);
  }
};

// From the gradient by t / (|t|^2 + 1), y and m to the gradients by y and m.
template <class T, bool both>
struct ProductSlopePass {
  static constexpr int kIn = 3, kOut = 2;
  const T* kappa;

  __device__ void column(const ColumnPlace& at, const T (&x)[3][kComponents], T (&out)[2][kComponents]) const {
    const T factor = factor_of(kappa, at.i);
    T t[kComponents];
    product_of_message<both>(x[1], x[2], factor, t);
    slope_of_message<both>(t, x[0], x[1], x[2], factor, out[0], out[1]);
  }
};

}  // namespace torchmdnet
