// The arrays of pair_distances: their shapes and types, as CPU and CUDA want them.
#pragma once
#include "torch_abi.h"

namespace torchmdnet {

// Values are of edges, or of pairs for the derivative.
inline void check_pair_rows(const Tensor& values, const Tensor& first, const Tensor& pair) {
  require_float(values, "distances must be float32 or float64");
  require(values.contiguous() && values.dim() == 1, "distances must be contiguous, of one axis");
  for (const Tensor* index : {&first, &pair})
    require(index->dim() == 1 && index->contiguous() && index->dtype() == aoti_torch_dtype_int32(),
            "first and pair must be contiguous int32 vectors");
}

inline void check_pair_distances(const Tensor& distance, const Tensor& first, const Tensor& pair) {
  check_pair_rows(distance, first, pair);
  require(pair.size(0) == distance.size(0), "pair must have a number for each distance");
}

inline void check_pair_gradient(const Tensor& grad, const Tensor& first, const Tensor& pair) {
  check_pair_rows(grad, first, pair);
  require(grad.size(0) == first.size(0), "the gradient must have a number for each pair");
}

}  // namespace torchmdnet
