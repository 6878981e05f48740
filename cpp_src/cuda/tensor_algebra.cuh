// Products and normalisation of 3x3 tensors given by nine components; see cpu/tensor_algebra.cpp.
#pragma once
#include "../tensor_algebra.h"
#include "pack.cuh"

namespace torchmdnet {

constexpr int kColumnThreads = 128;  // up to 27 loads of 16 bytes a thread are under way at once

// Where there are fewer columns than these, a thread has one instead of several: as many as a large GPU runs threads.
constexpr int64_t kFewColumns = 1 << 18;

// K arrays (9, M) in, one out.
template <class T, int K>
struct Columns {
  const T* in[K];
  T* out;
  int64_t count;
};

// What is done with one column, of nine numbers each side by side.
template <class T, bool both>
struct ProductColumn {
  T sign_a, sign_b;
  __device__ void operator()(const T (&x)[2][kComponents], T* out) const {
    product_column<both>(x[0], x[1], sign_a, sign_b, 1, 0, out);
  }
};
template <class T>
struct NormalizeColumn {
  __device__ void operator()(const T (&x)[1][kComponents], T* out) const { normalize_column(x[0], 1, 0, out); }
};
template <class T>
struct SlopeColumn {
  __device__ void operator()(const T (&x)[2][kComponents], T* out) const { slope_column(x[0], x[1], 1, 0, out); }
};
template <class T>
struct CurvatureColumn {
  __device__ void operator()(const T (&x)[3][kComponents], T* out) const {
    curvature_column(x[0], x[1], x[2], 1, 0, out);
  }
};

// A thread for V neighbouring columns.
template <int V, class T, int K, class Column>
__global__ void __launch_bounds__(kColumnThreads) columns_kernel(Columns<T, K> d, Column column) {
  for (int64_t m = V * grid_thread(); m < d.count; m += V * grid_threads()) {
    Pack<T, V> from[K][kComponents], to[kComponents];
    for (int k = 0; k < K; ++k)
      for (int c = 0; c < kComponents; ++c) from[k][c] = read_pack<T, V>(d.in[k] + c * d.count + m);
    for (int v = 0; v < V; ++v) {
      T x[K][kComponents], out[kComponents];
      for (int k = 0; k < K; ++k)
        for (int c = 0; c < kComponents; ++c) x[k][c] = from[k][c].v[v];
      column(x, out);
      for (int c = 0; c < kComponents; ++c) to[c].v[v] = out[c];
    }
    for (int c = 0; c < kComponents; ++c) write_pack(d.out + c * d.count + m, to[c]);
  }
}

template <int V, class T, int K, class Column>
void map_columns(const Columns<T, K>& d, const Column& column, Stream stream) {
  const int64_t blocks = blocks_for(d.count / V, kColumnThreads);
  TMD_LAUNCH((columns_kernel<V, T, K, Column>), blocks, kColumnThreads, stream, d, column);
}

}  // namespace torchmdnet
