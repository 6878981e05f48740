// Squared norms of the three parts of tensors; see cpu/part_norms.cpp.
#pragma once
#include "column_passes.cuh"

namespace torchmdnet {

// norms (N, 3, C)
template <class T>
struct NormsPass {
  static constexpr int kIn = 1, kOut = 0;
  T* norms;

  __device__ void column(const ColumnPlace& at, const T (&x)[1][kComponents], T (&)[1][kComponents]) const {
    T sum[kParts] = {};
    for (int c = 0; c < kComponents; ++c) sum[part_of(c)] += x[0][c] * x[0][c];
    for (int part = 0; part < kParts; ++part) norms[at.of_part(part)] = sum[part];
  }
};

// From x and the gradient by its norms to that by x.
template <class T>
struct NormsSlopePass {
  static constexpr int kIn = 1, kOut = 1;
  const T* grad;

  __device__ void column(const ColumnPlace& at, const T (&x)[1][kComponents], T (&out)[1][kComponents]) const {
    for (int c = 0; c < kComponents; ++c) out[0][c] = 2 * __ldg(grad + at.of_part(part_of(c))) * x[0][c];
  }
};

}  // namespace torchmdnet
