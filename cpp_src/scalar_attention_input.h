// The arrays of attention of scalars from a table: their shapes and types, as CPU and CUDA want them.
#pragma once
#include "radial_table.h"
#include "torch_abi.h"

namespace torchmdnet {

constexpr int kScalarColumns = 2;  // of the table: keys, values

struct ScalarAttentionTensors {
  const Tensor &table, &s, &query, &key, &value;

  // Refuses wrong types and shapes.
  void check(int64_t num_heads) const {
    require_float(query, "an array must be float32 or float64");
    for (const Tensor* array : {&table, &s, &query, &key, &value})
      require(array->contiguous() && array->dtype() == query.dtype(), "arrays must be contiguous and of one type");
    for (const Tensor* array : {&query, &key, &value})
      require(query.dim() == 2 && array->dim() == 2 && array->size(0) == query.size(0) &&
                  array->size(1) == query.size(1),
              "want query, key and value (N, C)");
    require(num_heads >= 1 && query.size(1) % num_heads == 0, "the number of channels must be a multiple of num_heads");
    require(table.dim() == 4 && table.size(0) >= 1 && table.size(0) < (1 << 24) && table.size(1) == kCoefficients &&
                table.size(2) == kScalarColumns && table.size(3) == query.size(1) && s.dim() == 1,
            "want table (M, 6, 2, C) with M of 1 to 16777215, s (P,)");
  }
  void check_gradient(const Tensor& grad) const {
    require(grad.contiguous() && grad.dtype() == query.dtype() && grad.dim() == 2 && grad.size(0) == query.size(0) &&
                grad.size(1) == query.size(1),
            "want a contiguous gradient (N, C) of the arrays' type");
  }
};

}  // namespace torchmdnet
