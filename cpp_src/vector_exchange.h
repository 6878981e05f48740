// The exchange between scalars and vectors for one channel of an atom (see cpu/vector_exchange.cpp): what the CPU and the
// CUDA code share.
//
// Arrays begin at the channel; of vectors, axis a is a stride C further, of p (3, 3 C), part n of axis a (3 a + n) C, of
// o (3 C,), part n n C.
#pragma once
#include <cstdint>

#include "shared.h"

namespace torchmdnet {

constexpr int kVectorAxes = 3, kExchangeParts = 3;

// to_x = x + (p1 . p2) o2 + o3, to_v = v + p3 o1 + vectors
template <class T>
TMD_SHARED_INLINE void exchange_channel(const T* x, const T* v, const T* vectors, const T* p, const T* o, int64_t C,
                                        T* to_x, T* to_v) {
  T product = 0;
  for (int a = 0; a < kVectorAxes; ++a) {
    const T* row = p + a * kExchangeParts * C;
    product += row[0] * row[C];
    to_v[a * C] = v[a * C] + row[2 * C] * o[0] + vectors[a * C];
  }
  to_x[0] = x[0] + product * o[C] + o[2 * C];
}

// From p and o to the derivatives by them, which may take their place.
template <class T>
TMD_SHARED_INLINE void exchange_slope(const T* grad_x, const T* grad_v, const T* p, const T* o, int64_t C, T* to_p,
                                      T* to_o) {
  const T factor = grad_x[0] * o[C], carried = o[0];
  T product = 0, along = 0;
  for (int a = 0; a < kVectorAxes; ++a) {
    const T *row = p + a * kExchangeParts * C, p1 = row[0], p2 = row[C], g = grad_v[a * C];
    T* to = to_p + a * kExchangeParts * C;
    product += p1 * p2;
    along += row[2 * C] * g;
    to[0] = p2 * factor;
    to[C] = p1 * factor;
    to[2 * C] = g * carried;
  }
  to_o[0] = along;
  to_o[C] = product * grad_x[0];
  to_o[2 * C] = grad_x[0];
}

}  // namespace torchmdnet
