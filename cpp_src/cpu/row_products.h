// Products of a few rows with matrices that are read as they lie: for maps of single atoms, where the operands of a
// block of atoms stay in the cache.
#pragma once
#include <algorithm>
#include <cstdint>

#include "../torch_abi.h"
#include "parallel_chunks.h"
#include "scratch.h"

namespace torchmdnet {

constexpr int64_t kRowsAtOnce = 24;  // atoms of a block: few enough for the cache, enough to use each matrix well
constexpr int64_t kFewestRows = 12;  // atoms that are worth a thread

// The first number of an array of rows, and from one row to the next.
template <class T>
struct Rows {
  T* at;
  int64_t stride;
};

struct ProductSize {
  int64_t rows, depth, columns;
};

// to (rows, columns) = start (rows, columns) + x (rows, depth) map (depth, columns), depth > 0. An element is the sum of
// its terms in the order of the depth, so that it does not depend on how rows are put together. Rows of start may be one
// and the same, of stride 0, or those of the result.
void product(Rows<const float> x, Rows<const float> map, ProductSize size, Rows<const float> start, Rows<float> to);
void product(Rows<const double> x, Rows<const double> map, ProductSize size, Rows<const double> start,
             Rows<double> to);

// Calls body(begin, end, space) for blocks of rows on PyTorch's threads; a space serves some blocks after each other.
template <class Space, class Body>
void parallel_blocks(int64_t num_rows, int64_t size_of_space, const Body& body) {
  parallel_chunks((num_rows + kFewestRows - 1) / kFewestRows, 1, [&](int64_t begin, int64_t end) {
    Space space(size_of_space);
    const int64_t stop = std::min(end * kFewestRows, num_rows);
    for (int64_t first = begin * kFewestRows; first < stop; first += kRowsAtOnce)
      body(first, std::min(first + kRowsAtOnce, stop), space);
  });
}

}  // namespace torchmdnet
