// Element-wise steps of radial functions that carry their slope: what the CPU and the CUDA code share.
#pragma once
#include <initializer_list>

#include "shared.h"
#include "torch_abi.h"

namespace torchmdnet {

// sigma is the logistic function of x: s = x sigma, s' = sigma + s (1 - sigma), s'' = (1 - sigma) (2 s' - s).
template <class T>
TMD_SHARED_INLINE void silu_at(T x, T sigma, T slope, T& value, T& out_slope) {
  const T s = x * sigma;
  value = s;
  out_slope = (sigma + s * (T(1) - sigma)) * slope;
}

template <class T>
TMD_SHARED_INLINE void silu_backward_at(T grad, T grad_slope, T x, T sigma, T slope, T& to_x, T& to_slope) {
  const T s = x * sigma, rest = T(1) - sigma, first = sigma + s * rest;
  to_x = grad * first + grad_slope * slope * rest * (2 * first - s);
  to_slope = grad_slope * first;
}

// f' c + f c'
template <class T>
TMD_SHARED_INLINE T product_slope(T f, T f_slope, T c, T c_slope) {
  return f_slope * c + f * c_slope;
}

// Checks that the arrays are (P, C) and the columns hold P numbers, contiguous and of one type.
inline void check_rows(std::initializer_list<const Tensor*> arrays, std::initializer_list<const Tensor*> columns) {
  const Tensor& first = **arrays.begin();
  require_float(first, "an array must be float32 or float64");
  for (const Tensor* array : arrays)
    require(array->dim() == 2 && array->contiguous() && array->dtype() == first.dtype() &&
                array->size(0) == first.size(0) && array->size(1) == first.size(1),
            "arrays must be contiguous and of one shape (P, C) and type");
  for (const Tensor* column : columns)
    require(column->contiguous() && column->dtype() == first.dtype() &&
                (column->dim() == 1 || (column->dim() == 2 && column->size(1) == 1)) &&
                column->size(0) == first.size(0),
            "a column must hold a number for each of the P rows, contiguous and of the arrays' type");
}

}  // namespace torchmdnet
