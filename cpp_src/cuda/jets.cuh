// Element-wise steps of radial functions that carry their slope; see cpu/jets.cpp.
#pragma once
#include "../jets.h"
#include "table_edges.cuh"

namespace torchmdnet {

template <class T>
struct SiluJet {
  const T *x, *sigma, *slope;
  T *value, *out_slope;
  int64_t count;
};

template <class T>
struct SiluJetBackward {
  const T *grad, *grad_slope, *x, *sigma, *slope;
  T *to_x, *to_slope;
  int64_t count;
};

// A thread for V neighbouring numbers.
template <int V, class T>
__global__ void silu_jet_kernel(SiluJet<T> d) {
  for (int64_t n = V * grid_thread(); n < d.count; n += V * grid_threads()) {
    const Pack<T, V> x = read_pack<T, V>(d.x + n), sigma = read_pack<T, V>(d.sigma + n),
                     slope = read_pack<T, V>(d.slope + n);
    Pack<T, V> value, out_slope;
    for (int v = 0; v < V; ++v) silu_at(x.v[v], sigma.v[v], slope.v[v], value.v[v], out_slope.v[v]);
    write_pack(d.value + n, value);
    write_pack(d.out_slope + n, out_slope);
  }
}

template <int V, class T>
__global__ void silu_jet_backward_kernel(SiluJetBackward<T> d) {
  for (int64_t n = V * grid_thread(); n < d.count; n += V * grid_threads()) {
    const Pack<T, V> grad = read_pack<T, V>(d.grad + n), grad_slope = read_pack<T, V>(d.grad_slope + n),
                     x = read_pack<T, V>(d.x + n), sigma = read_pack<T, V>(d.sigma + n),
                     slope = read_pack<T, V>(d.slope + n);
    Pack<T, V> to_x, to_slope;
    for (int v = 0; v < V; ++v)
      silu_backward_at(grad.v[v], grad_slope.v[v], x.v[v], sigma.v[v], slope.v[v], to_x.v[v], to_slope.v[v]);
    write_pack(d.to_x + n, to_x);
    write_pack(d.to_slope + n, to_slope);
  }
}

// Arrays (P, C) and columns (P,).
template <class T>
struct Fade {
  const T *grad, *f, *f_slope, *c, *c_slope;
  int64_t num_rows, channels;
};

// A warp a row, whose lanes' sums are added up by a tree: the same bits every time.
template <int V, class T>
__global__ void faded_slope_kernel(Fade<T> d, T* out) {
  const int64_t chunks = num_chunks(d.channels, V);
  for (int64_t p = grid_thread() / kWarp; p < d.num_rows; p += grid_threads() / kWarp) {
    const T c = __ldg(d.c + p), c_slope = __ldg(d.c_slope + p);
    T sum = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const LaneChannels<V> channel(d.channels, chunk);
      const int64_t at = p * d.channels + channel.first;
      const Pack<T, V> grad = read_pack<T, V>(d.grad + at), f = read_pack<T, V>(d.f + at),
                       f_slope = read_pack<T, V>(d.f_slope + at);
      for (int v = 0; channel.any && v < V; ++v) sum += grad.v[v] * product_slope(f.v[v], f_slope.v[v], c, c_slope);
    }
    sum = warp_sum(sum);
    if (lane_of_thread() == 0) out[p] = sum;
  }
}

// A warp a row. h (P,)
template <int V, class T>
__global__ void faded_slope_backward_kernel(Fade<T> d, const T* h, T* to_grad, T* to_f, T* to_slope) {
  const int64_t chunks = num_chunks(d.channels, V);
  for (int64_t item = grid_thread() / kWarp; item < d.num_rows * chunks; item += grid_threads() / kWarp) {
    const int64_t p = item / chunks;
    const LaneChannels<V> channel(d.channels, item % chunks);
    if (!channel.any) continue;
    const int64_t at = p * d.channels + channel.first;
    const T a = __ldg(h + p) * __ldg(d.c + p), b = __ldg(h + p) * __ldg(d.c_slope + p);
    const Pack<T, V> grad = read_pack<T, V>(d.grad + at), f = read_pack<T, V>(d.f + at),
                     f_slope = read_pack<T, V>(d.f_slope + at);
    Pack<T, V> of_grad, of_f, of_slope;
    for (int v = 0; v < V; ++v) {
      of_grad.v[v] = product_slope(f.v[v], f_slope.v[v], a, b);
      of_f.v[v] = b * grad.v[v];
      of_slope.v[v] = a * grad.v[v];
    }
    write_pack(to_grad + at, of_grad);
    write_pack(to_f + at, of_f);
    write_pack(to_slope + at, of_slope);
  }
}

}  // namespace torchmdnet
