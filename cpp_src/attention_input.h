// The arrays of attention from a table: their shapes and types, as CPU and CUDA want them.
#pragma once
#include <initializer_list>

#include "radial_table.h"
#include "torch_abi.h"

namespace torchmdnet {

constexpr int kValues = 3;             // of a sender: for the scalars, along its vectors, along the direction
constexpr int kColumns = 1 + kValues;  // of the table: keys, values
constexpr int kAxes = 3;

inline bool has_shape(const Tensor& tensor, std::initializer_list<int64_t> sizes) {
  if (tensor.dim() != static_cast<int64_t>(sizes.size())) return false;
  for (size_t axis = 0; axis < sizes.size(); ++axis)
    if (tensor.size(static_cast<int64_t>(axis)) != sizes.begin()[axis]) return false;
  return true;
}

struct AttentionTensors {
  const Tensor &table, &s, &query, &key, &value, &vector, &direction;

  // Refuses wrong types and shapes; edges come one a row of `sender`.
  void check(const Tensor& sender, int64_t num_heads) const {
    require_float(query, "an array must be float32 or float64");
    for (const Tensor* array : {&table, &s, &query, &key, &value, &vector, &direction})
      require(array->contiguous() && array->dtype() == query.dtype(), "arrays must be contiguous and of one type");
    require(query.dim() == 2, "want query (N, C)");
    const int64_t N = query.size(0), C = query.size(1);
    require(has_shape(key, {N, C}) && has_shape(value, {N, kValues * C}) && has_shape(vector, {N, kAxes, C}) &&
                sender.dim() == 1 && has_shape(direction, {sender.size(0), kAxes}),
            "want query and key (N, C), value (N, 3 C), vector (N, 3, C), direction (E, 3)");
    require(num_heads >= 1 && C % num_heads == 0, "the number of channels must be a multiple of num_heads");
    require(table.dim() == 4 && table.size(0) >= 1 && table.size(0) < (1 << 24) &&
                has_shape(table, {table.size(0), kCoefficients, kColumns, C}) && s.dim() == 1,
            "want table (M, 6, 4, C) with M of 1 to 16777215, s (P,)");
  }

  void check_gradients(const Tensor& scalar, const Tensor& of_vector) const {
    for (const Tensor* grad : {&scalar, &of_vector})
      require(grad->contiguous() && grad->dtype() == query.dtype(),
              "gradients must be contiguous and of the arrays' type");
    const int64_t N = query.size(0), C = query.size(1);
    require(has_shape(scalar, {N, C}) && has_shape(of_vector, {N, kAxes, C}),
            "want gradients (N, C) and (N, 3, C)");
  }
};

}  // namespace torchmdnet
