// What the neighbour search takes, and what it says of what it cannot take.
#pragma once
#include <cmath>
#include <limits>
#include <string>

#include "neighbor_grid.h"
#include "torch_abi.h"

namespace torchmdnet {

struct NeighborOptions {
  int64_t num_systems;
  double lower, upper;
  bool loop, half;
  int64_t capacity;  // negative: as many as there are

  // From the arguments of the op that are no tensors.
  explicit NeighborOptions(const StableIValue* arguments)
      : num_systems(argument<int64_t>(arguments[0])),
        lower(argument<double>(arguments[1])),
        upper(argument<double>(arguments[2])),
        loop(argument<bool>(arguments[3])),
        half(argument<bool>(arguments[4])),
        capacity(argument<int64_t>(arguments[5])) {}
};

inline void check_neighbor_faults(int32_t faults) {
  if (faults & kBadPosition) fail("a position is NaN or infinite");
  if (faults & kBadBatch) fail("batch holds a system number that is negative or not below num_systems");
  if (faults & kBadBox) fail("a box is singular on its periodic axes, NaN or infinite");
  if (faults & kNoBox) fail("periodic says that an axis repeats, but the box of that system is all zeros");
  if (faults & kFarAtom) fail("an atom is more than 2^30 cells away from the first atom of its system");
  if (faults & kRowsMisfit) fail("row_ptr does not fit the number of rows");
  if (faults & kRowsDescend) fail("row_ptr descends");
  if (faults & kUnknownAtom) fail("a receiver or sender is not an atom");
  if (faults & kStaleList) fail("an atom has moved too far, or a cell has changed, since the longer list was made");
  if (faults & kTooManyPairs) fail("more than 2147483647 pairs: use a shorter cutoff, or fewer atoms at a time");
}

[[noreturn]] inline void fail_overflow(int64_t num_pairs, int64_t capacity) {
  fail(std::to_string(num_pairs) + " neighbour pairs were found, more than the capacity of " +
       std::to_string(capacity) + ": give a larger capacity, or a NeighborList more edges_per_atom");
}

inline void require_countable(int64_t capacity) {
  require(capacity <= std::numeric_limits<int32_t>::max(), "a capacity of more than 2147483647 pairs");
}

inline void check_neighbor_input(const Tensor& pos, const Tensor& batch, const Tensor& box, const Tensor& periodic,
                                 const NeighborOptions& options) {
  require_float(pos, "positions must be float32 or float64");
  require(pos.dim() == 2 && pos.size(1) == 3 && pos.contiguous(), "positions must be contiguous, of shape (N, 3)");
  require(pos.size(0) < std::numeric_limits<int32_t>::max(), "more than 2147483646 atoms");
  require(batch.dtype() == aoti_torch_dtype_int64() && batch.dim() == 1 && batch.contiguous() &&
              batch.size(0) == pos.size(0),
          "batch must be int64, contiguous, of shape (N,)");
  const int64_t num = options.num_systems;
  require(num >= 0 && (num > 0 || pos.size(0) == 0), "num_systems must be positive");
  require(box.dtype() == pos.dtype() && box.dim() == 3 && box.contiguous() && box.size(1) == 3 && box.size(2) == 3 &&
              (box.size(0) == 0 || box.size(0) == num),
          "box must be of the positions' dtype, contiguous, of shape (num_systems, 3, 3) or (0, 3, 3)");
  require(periodic.dtype() == aoti_torch_dtype_bool() && periodic.dim() == 2 && periodic.contiguous() &&
              periodic.size(1) == 3 && (periodic.size(0) == 0 || periodic.size(0) == num),
          "periodic must be bool, contiguous, of shape (num_systems, 3) or (0, 3)");
  require(std::isfinite(options.upper) && options.upper > 0 && options.lower >= 0 && options.lower < options.upper,
          "want finite cutoffs, 0 <= cutoff_lower < cutoff_upper");
}

// What refresh_pairs knows of the atoms at the time of the longer list, or nothing.
inline void check_known_arrays(const Tensor& known_pos, const Tensor& known_box, const Tensor& pos, const Tensor& box) {
  for (const Tensor* known : {&known_pos, &known_box}) {
    const Tensor& now = known == &known_pos ? pos : box;
    bool is_alike = known->dtype() == pos.dtype() && known->contiguous() && known->dim() == now.dim();
    for (int64_t axis = 1; is_alike && axis < now.dim(); ++axis) is_alike = known->size(axis) == now.size(axis);
    require(is_alike && (known->size(0) == 0 || (known->size(0) == now.size(0) && now.dtype() == pos.dtype())),
            "known_pos and known_box must be like pos and box, or have no rows");
  }
}

}  // namespace torchmdnet
