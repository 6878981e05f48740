// Where distances lie in a table, and the derivative (see torchmdnet/ops/table_coordinate.py): what the CPU and the CUDA
// code share.
#pragma once
#include <cmath>

#include "torch_abi.h"
#include "shared.h"

namespace torchmdnet {

// s = (exp(-rate d) - end) factor
template <class T>
struct TableScale {
  T rate, end, factor;

  TMD_SHARED_INLINE T coordinate(T distance) const { return (std::exp(-rate * distance) - end) * factor; }
  TMD_SHARED_INLINE T slope(T distance) const { return -rate * factor * std::exp(-rate * distance); }
};

inline void check_distances(const Tensor& distance) {
  require_float(distance, "distances must be float32 or float64");
  require(distance.contiguous() && distance.dim() == 1, "distances must be contiguous, of shape (P,)");
}

inline void check_coordinate_gradient(const Tensor& grad, const Tensor& distance) {
  require(grad.contiguous() && grad.dim() == 1 && grad.size(0) == distance.size(0) && grad.dtype() == distance.dtype(),
          "the gradient must be contiguous and of the distances' shape and type");
}

}  // namespace torchmdnet
