// The arrays of the ops on radial tables: their shapes and types, as CPU and CUDA want them.
#pragma once
#include "edges.h"
#include "radial_table.h"
#include "torch_abi.h"

namespace torchmdnet {

// Refuses a table that is not (M, 6, 3, C), and coordinates that are not (P,).
inline void check_table(const Tensor& table, const Tensor& s, int64_t num_channels) {
  require(table.dim() == 4 && table.size(0) >= 1 && table.size(0) < (1 << 24) && table.size(1) == kCoefficients &&
              table.size(2) == kParts && table.size(3) == num_channels,
          "table must have shape (M, 6, 3, C) with M of 1 to 16777215");
  require(s.dim() == 1, "s must have shape (P,)");
}

// Those of table_message.
inline void check_message_input(const Tensor& table, const Tensor& s, const Tensor& x) {
  require_float(x, "x must be float32 or float64");
  for (const Tensor* array : {&table, &s, &x})
    require(array->contiguous() && array->dtype() == x.dtype(), "arrays must be contiguous and of one type");
  require(x.dim() == 3 && x.size(0) == kComponents, "x must have shape (9, N, C)");
  check_table(table, s, x.size(2));
}

inline void check_message_gradient(const Tensor& grad, const Tensor& x) {
  require(grad.contiguous() && grad.dtype() == x.dtype() && grad.dim() == 3 && grad.size(0) == x.size(0) &&
              grad.size(1) == x.size(1) && grad.size(2) == x.size(2),
          "grad must be contiguous and of x's shape and type");
}

// Those of table_sum.
inline void check_sum_input(const Tensor& table, const Tensor& s, const Tensor& x) {
  require_float(x, "x must be float32 or float64");
  for (const Tensor* array : {&table, &s, &x})
    require(array->contiguous() && array->dtype() == x.dtype(), "arrays must be contiguous and of one type");
  require(x.dim() == 2, "x must have shape (N, C)");
  require(table.dim() == 3 && table.size(0) >= 1 && table.size(0) < (1 << 24) && table.size(1) == kCoefficients &&
              table.size(2) == x.size(1) && s.dim() == 1,
          "want table (M, 6, C) with M of 1 to 16777215, s (P,)");
}

inline void check_sum_gradient(const Tensor& grad, const Tensor& x) {
  require(grad.contiguous() && grad.dtype() == x.dtype() && grad.dim() == 2 && grad.size(0) == x.size(0) &&
              grad.size(1) == x.size(1),
          "grad must be contiguous and of x's shape and type");
}

// Those of table_environment.
inline void check_environment_input(const Tensor& table, const Tensor& s, const Tensor& y, const Tensor& own,
                                    const Tensor& other, const Tensor& sender) {
  require_float(y, "an array must be float32 or float64");
  for (const Tensor* array : {&table, &s, &y, &own, &other})
    require(array->contiguous() && array->dtype() == y.dtype(), "arrays must be contiguous and of one type");
  require(y.dim() == 2 && own.dim() == 2 && other.dim() == 2 && sender.dim() == 1 && y.size(0) == sender.size(0) &&
              y.size(1) == kComponents && other.size(0) == own.size(0) && other.size(1) == own.size(1),
          "want y (E, 9), own and other (N, C)");
  check_table(table, s, own.size(1));
}

inline void check_environment_gradient(const Tensor& grad, const Tensor& own) {
  require(grad.contiguous() && grad.dtype() == own.dtype() && grad.dim() == 3 && grad.size(0) == kComponents &&
              grad.size(1) == own.size(0) && grad.size(2) == own.size(1),
          "grad must be contiguous, of shape (9, N, C) and of the arrays' type");
}

}  // namespace torchmdnet
