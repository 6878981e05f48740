// Functions of the distance as a table: a polynomial of fifth degree on each of M even intervals.
//
// A table is (M, 6, K): for each interval the coefficients of 1, t, ... t^5 of K functions, t from 0 to 1 across the
// interval. A distance comes as its coordinate s: 0 where the first interval begins, M where the last one ends. Powers of
// t, rather than values at the ends, because in float32 their derivative is as exact as they are.
#pragma once
#include <cstdint>

#include "shared.h"

namespace torchmdnet {

constexpr int kCoefficients = 6;

// Where a coordinate lies; outside the table the outermost polynomial goes on.
template <class T>
struct TablePlace {
  int32_t interval;
  T t;
};

template <class T>
TMD_SHARED_INLINE TablePlace<T> table_place(T s, int32_t num_intervals) {
  const T last = static_cast<T>(num_intervals - 1);
  const T inside = s > 0 ? (s < last ? s : last) : T(0);  // of a NaN: 0
  const int32_t interval = static_cast<int32_t>(inside);
  return {interval, s - static_cast<T>(interval)};
}

// The polynomial with coefficients c and its derivative by t, of numbers or of vectors of them.
template <class V, class T>
TMD_SHARED_INLINE V polynomial(const V* c, T t) {
  V value = c[kCoefficients - 1];
  for (int power = kCoefficients - 2; power >= 0; --power) value = value * t + c[power];
  return value;
}
template <class V, class T>
TMD_SHARED_INLINE V polynomial_slope(const V* c, T t) {
  V value = c[kCoefficients - 1], slope = value;
  for (int power = kCoefficients - 2; power >= 1; --power) {
    value = value * t + c[power];
    slope = slope * t + value;
  }
  return slope;
}

}  // namespace torchmdnet
