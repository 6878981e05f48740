// A tile of the result, rows x columns, stays in registers while the depth runs: for each number of the depth one row of
// the matrix is read, and one number of each row of x. Columns are outermost, so that a strip of the matrix serves all
// rows of a block from the nearest cache. The matrix is read once a block, x once a strip.
#include "row_products.h"

#include <type_traits>

#include "../lanes.h"
#include "table_columns.h"

namespace torchmdnet {
namespace {

// Of an instruction set: rows and registers of a tile, as many as fit, and numbers of a register. Wide tiles read the
// matrix in longer pieces.
template <class T>
struct Wide {
  static constexpr int kRows = 6, kSpan = 4, kLanes = 64 / sizeof(T);
};
template <class T>
struct Middle {
  static constexpr int kRows = 6, kSpan = 2, kLanes = 32 / sizeof(T);
};
template <class T>
struct Narrow {
  static constexpr int kRows = 6, kSpan = 2, kLanes = 16 / sizeof(T);
};

constexpr int64_t kDepthAtOnce = 64;  // rows of the matrix: each may be on a page of its own

template <class T, int R, int W, int S>
TMD_INLINE void product_tile(Rows<const T> x, Rows<const T> map, int64_t depth, Rows<const T> start, Rows<T> to) {
  Lanes<T, W> sum[R][S], factor[S];
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < S; ++s) sum[r][s].load(start.at + r * start.stride + s * W);
  for (int64_t k = 0; k < depth; ++k) {
    for (int s = 0; s < S; ++s) factor[s].load(map.at + k * map.stride + s * W);
    for (int r = 0; r < R; ++r) {
      const T number = x.at[r * x.stride + k];
      for (int s = 0; s < S; ++s) sum[r][s].v += number * factor[s].v;
    }
  }
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < S; ++s) sum[r][s].store(to.at + r * to.stride + s * W);
}

// A strip of S registers of columns: rows in tiles of R, the rest in smaller ones.
template <class T, int R, int W, int S>
TMD_INLINE void product_strip(Rows<const T> x, Rows<const T> map, int64_t rows, int64_t depth, Rows<const T> start,
                              Rows<T> to) {
  for (; rows >= R; rows -= R) {
    product_tile<T, R, W, S>(x, map, depth, start, to);
    x.at += R * x.stride;
    start.at += R * start.stride;
    to.at += R * to.stride;
  }
  if constexpr (R > 1)
    if (rows) product_strip<T, R / 2, W, S>(x, map, rows, depth, start, to);
}

template <class T, class Set>
TMD_INLINE void product_all(Rows<const T> x, Rows<const T> map, ProductSize size, Rows<const T> start, Rows<T> to) {
  constexpr int R = Set::kRows, W = Set::kLanes, S = Set::kSpan;
  for (int64_t k = 0; k < size.depth; k += kDepthAtOnce) {
    const int64_t depth = size.depth - k < kDepthAtOnce ? size.depth - k : kDepthAtOnce;
    const auto strip = [&](auto width, auto span, int64_t c) TMD_BODY {
      product_strip<T, R, decltype(width)::value, decltype(span)::value>(
          {x.at + k, x.stride}, {map.at + k * map.stride + c, map.stride}, size.rows, depth,
          {start.at + c, start.stride}, {to.at + c, to.stride});
    };
    using One = std::integral_constant<int, 1>;
    using Full = std::integral_constant<int, W>;
    int64_t c = 0;
    for (; c + S * W <= size.columns; c += S * W) strip(Full(), std::integral_constant<int, S>(), c);
    for (; c + W <= size.columns; c += W) strip(Full(), One(), c);
    for (; c < size.columns; ++c) strip(One(), One(), c);
    start = {to.at, to.stride};
  }
}

template <class T>
void product_any(Rows<const T> x, Rows<const T> map, ProductSize size, Rows<const T> start, Rows<T> to) {
#if defined(__x86_64__)
  switch (instructions()) {
    case Instructions::kAvx512: return run_avx512<product_all<T, Wide<T>>>(x, map, size, start, to);
    case Instructions::kAvx2: return run_avx2<product_all<T, Middle<T>>>(x, map, size, start, to);
    default: return product_all<T, Narrow<T>>(x, map, size, start, to);
  }
#else
  product_all<T, Narrow<T>>(x, map, size, start, to);
#endif
}

}  // namespace

void product(Rows<const float> x, Rows<const float> map, ProductSize size, Rows<const float> start, Rows<float> to) {
  product_any<float>(x, map, size, start, to);
}
void product(Rows<const double> x, Rows<const double> map, ProductSize size, Rows<const double> start,
             Rows<double> to) {
  product_any<double>(x, map, size, start, to);
}

}  // namespace torchmdnet
