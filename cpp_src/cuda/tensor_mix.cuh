// Normalised tensors with their parts mixed over channels, and parts mixed and scaled; see cpu/tensor_mix.cpp.
#pragma once
#include "column_passes.cuh"

namespace torchmdnet {

// n = x / (|x|^2 + 1)
template <class T>
struct NormalizePass {
  static constexpr int kIn = 1, kOut = 1;
  __device__ void column(const ColumnPlace&, const T (&x)[1][kComponents], T (&out)[1][kComponents]) const {
    normalize_column(x[0], 1, 0, out[0]);
  }
};

// From x and two gradients by n, one of them through the maps, to that by x.
template <class T>
struct NormalizeSlopePass {
  static constexpr int kIn = 3, kOut = 1;
  __device__ void column(const ColumnPlace&, const T (&x)[3][kComponents], T (&out)[1][kComponents]) const {
    T grad[kComponents];
    for (int c = 0; c < kComponents; ++c) grad[c] = x[1][c] + x[2][c];
    slope_column(x[0], grad, 1, 0, out[0]);
  }
};

// f y, f (N, 3, C)
template <class T>
struct ScalePass {
  static constexpr int kIn = 1, kOut = 1;
  const T* scales;

  __device__ void column(const ColumnPlace& at, const T (&x)[1][kComponents], T (&out)[1][kComponents]) const {
    for (int c = 0; c < kComponents; ++c) out[0][c] = __ldg(scales + at.of_part(part_of(c))) * x[0][c];
  }
};

// From the gradient g by f y, and y, to f g and to the gradient by f.
template <class T>
struct ScaleSlopePass {
  static constexpr int kIn = 2, kOut = 1;
  const T* scales;
  T* to_scales;

  __device__ void column(const ColumnPlace& at, const T (&x)[2][kComponents], T (&out)[1][kComponents]) const {
    T sum[kParts] = {};
    for (int c = 0; c < kComponents; ++c) {
      sum[part_of(c)] += x[0][c] * x[1][c];
      out[0][c] = __ldg(scales + at.of_part(part_of(c))) * x[0][c];
    }
    for (int part = 0; part < kParts; ++part) to_scales[at.of_part(part)] = sum[part];
  }
};

}  // namespace torchmdnet
