// The arrays of the ops on tensors of nine components: their shapes and types, as CPU and CUDA want them.
#pragma once
#include <initializer_list>
#include <string>

#include "edges.h"
#include "torch_abi.h"

namespace torchmdnet {

// Checks that all are (9, N, C), contiguous and of one type; returns N C.
inline int64_t check_tensors(std::initializer_list<const Tensor*> tensors) {
  const Tensor& first = **tensors.begin();
  require(first.dim() == 3 && first.size(0) == kComponents, "a tensor must have shape (9, N, C)");
  require_float(first, "a tensor must be float32 or float64");
  for (const Tensor* tensor : tensors)
    require(tensor->dim() == 3 && tensor->contiguous() && tensor->dtype() == first.dtype() &&
                tensor->size(0) == kComponents && tensor->size(1) == first.size(1) && tensor->size(2) == first.size(2),
            "tensors must be contiguous and of one shape and type");
  return first.size(1) * first.size(2);
}

// Checks two arrays of three axes, the second (9, N, C).
inline void check_arrays(const Tensor& weight, const Tensor& x, const char* of_weight, const char* of_x) {
  require(weight.dim() == 3 && weight.contiguous(), of_weight);
  require(x.dim() == 3 && x.contiguous(), of_x);
  require_float(x, "an array must be float32 or float64");
  require(weight.dtype() == x.dtype(), "an array's type must be the same as the other's");
  if (x.size(0) != kComponents) fail("a tensor has 9 components, not " + std::to_string(x.size(0)));
}

// Those of tensor_message.
inline void check_message_arrays(const Tensor& weight, const Tensor& x) {
  check_arrays(weight, x, "weight must have three axes and be contiguous", "x must have three axes and be contiguous");
  require(weight.size(1) == kParts && weight.size(2) == x.size(2), "weight must have shape (P, 3, C) for x (9, N, C)");
}

// Those of edge_message, whose weights have a row for each edge.
inline void check_edge_message_arrays(const Tensor& weight, const Tensor& x, const Tensor& sender) {
  check_arrays(weight, x, "weight must have three axes and be contiguous", "x must have three axes and be contiguous");
  require(sender.dim() == 1 && weight.size(0) == sender.size(0) && weight.size(1) == kParts &&
              weight.size(2) == x.size(2),
          "weight must have shape (E, 3, C) for x (9, N, C)");
}

// Those of tensor_message_weight.
inline void check_weight_arrays(const Tensor& x, const Tensor& y, const Tensor& rows) {
  check_arrays(x, y, "x must have three axes and be contiguous", "y must have three axes and be contiguous");
  require(x.size(0) == y.size(0) && x.size(1) == y.size(1) && x.size(2) == y.size(2), "x and y must have one shape");
  require(rows.dim() > 0, "rows must have an axis of length P");
}

// Those of tensor_environment.
inline void check_surroundings(const Tensor& y, const Tensor& weight, const Tensor& own, const Tensor& other,
                               const Tensor& sender) {
  require_float(y, "an array must be float32 or float64");
  for (const Tensor* array : {&y, &weight, &own, &other})
    require(array->contiguous() && array->dtype() == y.dtype(), "arrays must be contiguous and of one type");
  require(y.dim() == 2 && weight.dim() == 3 && own.dim() == 2 && other.dim() == 2 && sender.dim() == 1 &&
              y.size(0) == sender.size(0) && y.size(1) == kComponents && weight.size(1) == kParts &&
              weight.size(2) == own.size(1) && other.size(0) == own.size(0) && other.size(1) == own.size(1),
          "want y (E, 9), weight (P, 3, C), own and other (N, C)");
}

inline void check_surroundings_gradient(const Tensor& grad, const Tensor& own) {
  require(grad.dim() == 3 && grad.contiguous() && grad.dtype() == own.dtype() && grad.size(0) == kComponents &&
              grad.size(1) == own.size(0) && grad.size(2) == own.size(1),
          "grad must be contiguous, of shape (9, N, C) and of the other arrays' type");
}

}  // namespace torchmdnet
