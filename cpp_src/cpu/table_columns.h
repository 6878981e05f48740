// Columns of a table (see radial_table.h), and loops over channels: what the ops that read tables share.
#pragma once
#include <type_traits>

#include "../lanes.h"
#include "../radial_table.h"

namespace torchmdnet {

// W channels of a column: `at` is the first coefficient at the first channel, the next ones come `stride` later.
template <class T, int W>
TMD_INLINE void column_value(const T* at, int64_t stride, T t, Lanes<T, W>& value) {
  Lanes<T, W> c;
  value.load(at + (kCoefficients - 1) * stride);
  for (int power = kCoefficients - 2; power >= 0; --power) {
    c.load(at + power * stride);
    value.v = value.v * t + c.v;
  }
}

// The same with its derivative by t.
template <class T, int W>
TMD_INLINE void column_value_and_slope(const T* at, int64_t stride, T t, Lanes<T, W>& value, Lanes<T, W>& slope) {
  Lanes<T, W> c;
  value.load(at + (kCoefficients - 1) * stride);
  slope.v = value.v;
  for (int power = kCoefficients - 2; power >= 1; --power) {
    c.load(at + power * stride);
    value.v = value.v * t + c.v;
    slope.v = slope.v * t + value.v;
  }
  c.load(at);
  value.v = value.v * t + c.v;
}

// Calls body(W, channel) for channels [begin, end), W the width of the lanes that start at a channel: as wide as fit.
template <class T, class Body>
TMD_INLINE void for_lanes(int64_t begin, int64_t end, const Body& body) {
  constexpr int W = 64 / sizeof(T);
  int64_t channel = begin;
  for (; channel + W <= end; channel += W) body(std::integral_constant<int, W>(), channel);
  for (; channel + W / 2 <= end; channel += W / 2) body(std::integral_constant<int, W / 2>(), channel);
  for (; channel + W / 4 <= end; channel += W / 4) body(std::integral_constant<int, W / 4>(), channel);
  for (; channel < end; ++channel) body(std::integral_constant<int, 1>(), channel);
}
// Of a body: it takes on the instruction set of the loop.
#define TMD_BODY __attribute__((always_inline))

}  // namespace torchmdnet
