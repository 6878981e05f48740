// Steps on the nine numbers of each atom's tensors, in the place of a thread: what the kernels of tensor_mix,
// tensor_scale, tensor_update and part_norms share.
//
// A pass tells how many arrays (9, N, C) it reads and writes and what it does with one column; a thread takes one column
// or, where there are many, a few neighbouring ones of one atom. Maps of the three parts are laid out on the way as nine
// matrices side by side, so that one product of matrices serves all components.
#pragma once
#include "../edges.h"
#include "tensor_algebra.cuh"

namespace torchmdnet {

// Maps W (C, C) of the three parts, and where they go, once for each component: (9, C, C). Nowhere, if null.
template <class T>
struct PartMaps {
  const T* maps[kParts];
  T* laid_out;
  int64_t size;  // C C
};

template <class T>
__device__ void lay_out(const PartMaps<T>& maps) {
  if (!maps.laid_out) return;
  for (int64_t n = grid_thread(); n < kComponents * maps.size; n += grid_threads())
    maps.laid_out[n] = __ldg(maps.maps[part_of(static_cast<int>(n / maps.size))] + n % maps.size);
}

// Where a column is: number m of N C, channel k of atom i.
struct ColumnPlace {
  int64_t m, i, k, channels;

  // Of an array (N, 3, C).
  __device__ int64_t of_part(int part) const { return (kParts * i + part) * channels + k; }
};

// The arrays of a pass, and how many columns there are.
template <class T, int In, int Out>
struct PassArrays {
  const T* in[In];
  T* out[Out > 0 ? Out : 1];
  int64_t count, channels;
};

// Pass has kIn and kOut, and column(place, in, out) for one column of each.
template <int V, class T, class Pass>
__global__ void __launch_bounds__(kColumnThreads)
    pass_kernel(PassArrays<T, Pass::kIn, Pass::kOut> d, Pass pass, PartMaps<T> maps) {
  constexpr int In = Pass::kIn, Out = Pass::kOut;
  lay_out(maps);
  for (int64_t m = V * grid_thread(); m < d.count; m += V * grid_threads()) {
    const int64_t i = m / d.channels, k = m % d.channels;
    Pack<T, V> from[In][kComponents], to[Out > 0 ? Out : 1][kComponents];
    for (int n = 0; n < In; ++n)
      for (int c = 0; c < kComponents; ++c) from[n][c] = read_pack<T, V>(d.in[n] + c * d.count + m);
    for (int v = 0; v < V; ++v) {
      T x[In][kComponents], out[Out > 0 ? Out : 1][kComponents];
      for (int n = 0; n < In; ++n)
        for (int c = 0; c < kComponents; ++c) x[n][c] = from[n][c].v[v];
      pass.column(ColumnPlace{m + v, i, k + v, d.channels}, x, out);
      for (int n = 0; n < Out; ++n)
        for (int c = 0; c < kComponents; ++c) to[n][c].v[v] = out[n][c];
    }
    for (int n = 0; n < Out; ++n)
      for (int c = 0; c < kComponents; ++c) write_pack(d.out[n] + c * d.count + m, to[n][c]);
  }
}

template <class T, class Pass>
void run_pass(const PassArrays<T, Pass::kIn, Pass::kOut>& d, const Pass& pass, const PartMaps<T>& maps, Stream stream) {
  const int64_t run = d.count < kFewColumns ? 1 : d.channels;
  uintptr_t bits = 0;
  for (const T* array : d.in) bits |= reinterpret_cast<uintptr_t>(array);
  for (int n = 0; n < Pass::kOut; ++n) bits |= reinterpret_cast<uintptr_t>(d.out[n]);
  for_packs<T>(d.count, run, {reinterpret_cast<const void*>(bits)}, [&](auto width) {
    constexpr int V = width.value;
    const int64_t laid_out = maps.laid_out ? kComponents * maps.size / 8 : 0;  // a few numbers a thread
    const int64_t threads = d.count / V > laid_out ? d.count / V : laid_out;
    TMD_LAUNCH((pass_kernel<V, T, Pass>), blocks_for(threads, kColumnThreads), kColumnThreads, stream, d, pass, maps);
  });
}

// Lays out maps where nothing else is to be done yet.
template <class T>
__global__ void lay_out_kernel(PartMaps<T> maps) {
  lay_out(maps);
}
template <class T>
void lay_out_maps(const PartMaps<T>& maps, Stream stream) {
  TMD_LAUNCH(lay_out_kernel<T>, blocks_for(kComponents * maps.size / 4, kBlock), kBlock, stream, maps);
}

}  // namespace torchmdnet
