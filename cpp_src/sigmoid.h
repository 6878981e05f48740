// The logistic function of numbers in registers, to the last digit or two, without a call of libm.
#pragma once
#include <cstdint>

#include "lanes.h"

namespace torchmdnet {

// How exp(x) = 2^n exp(r), |r| <= ln 2 / 2, is put together in a floating-point type.
template <class T>
struct Exponential;
template <>
struct Exponential<float> {
  typedef int32_t Bits;
  static constexpr int kMantissa = 23, kDegree = 7;
  static constexpr Bits kBias = 127;
  static constexpr float kLimit = 87.0f, kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float kLn2High = 0.693145751953125f, kLn2Low = 1.42860677e-6f;
};
template <>
struct Exponential<double> {
  typedef int64_t Bits;
  static constexpr int kMantissa = 52, kDegree = 13;
  static constexpr Bits kBias = 1023;
  static constexpr double kLimit = 708.0, kRound = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kLn2High = 0.69314718036912382, kLn2Low = 1.9082149292705877e-10;
};

constexpr double kInverseFactorial[] = {1.0,        1.0,         1.0 / 2,       1.0 / 6,        1.0 / 24,
                                        1.0 / 120,  1.0 / 720,   1.0 / 5040,    1.0 / 40320,    1.0 / 362880,
                                        1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};

// 1 / (1 + exp(-x)); beyond the range of exp it stays at its value there.
template <class T, int W>
TMD_INLINE Lanes<T, W> sigmoid(const Lanes<T, W>& x) {
  using E = Exponential<T>;
  typedef typename Lanes<T, W>::Vector Vector;
  typedef typename E::Bits BitVector __attribute__((vector_size(W * sizeof(T))));
  Vector y = -x.v;
  y = y < -E::kLimit ? Vector{} - E::kLimit : y;  // of a NaN: NaN
  y = y > E::kLimit ? Vector{} + E::kLimit : y;
  const Vector rounded = y * T(1.4426950408889634) + E::kRound, n = rounded - E::kRound;
  const Vector r = (y - n * E::kLn2High) - n * E::kLn2Low;
  Vector series = Vector{} + T(kInverseFactorial[E::kDegree]);
  for (int k = E::kDegree - 1; k >= 0; --k) series = series * r + T(kInverseFactorial[k]);
  const Vector zero = Vector{} + E::kRound;
  const BitVector power = ((BitVector)rounded - (BitVector)zero + E::kBias) << E::kMantissa;
  return {T(1) / (T(1) + series * (Vector)power)};
}

}  // namespace torchmdnet
