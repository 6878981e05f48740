// Functions of the distance as a table: a cubic polynomial on each of M even intervals.
//
// A table is (M, 4, K): for each interval the coefficients of 1, t, t^2 and t^3 of K functions, t from 0 to 1 across the
// interval. A distance comes as its coordinate s: 0 where the first interval begins, M where the last one ends. Powers of
// t, rather than values at the ends, because in float32 their derivative is as exact as they are.
#pragma once
#include <cstdint>

#include "shared.h"

namespace torchmdnet {

constexpr int kCoefficients = 4;

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

// The polynomial and its derivative by t, of numbers or of vectors of them.
template <class V, class T>
TMD_SHARED_INLINE V cubic(const V& c0, const V& c1, const V& c2, const V& c3, T t) {
  return c0 + t * (c1 + t * (c2 + t * c3));
}
template <class V, class T>
TMD_SHARED_INLINE V cubic_slope(const V& c1, const V& c2, const V& c3, T t) {
  return c1 + t * (2 * c2 + (3 * t) * c3);
}

}  // namespace torchmdnet
