// What attention from a table and its derivative share: arguments and their checks.
#pragma once
#include "../edges.h"
#include "../lanes.h"
#include "../radial_table.h"
#include "../torch_abi.h"
#include "table_columns.h"
#include "table_edges.h"

namespace torchmdnet {

constexpr int kValues = 3;             // of a sender: for the scalars, along its vectors, along the direction
constexpr int kColumns = 1 + kValues;  // of the table: keys, values
constexpr int kAxes = 3;

// Arrays as in table_attention.cpp; those of the receivers' gradients are set for the derivative alone.
template <class T>
struct AttentionInput {
  const T *table, *s, *query, *key, *value, *vector, *direction;
  int32_t num_intervals;
  int64_t channels, num_heads;
  Edges edges;
  const T *grad_scalar = nullptr, *grad_vector = nullptr;

  int64_t head_width() const { return channels / num_heads; }
  // First coefficient of a column of the table at some channel.
  TMD_INLINE const T* column(const TablePlace<T>& place, int number, int64_t channel) const {
    return table + (place.interval * int64_t(kCoefficients * kColumns) + number) * channels + channel;
  }
  // From a coefficient to the next one.
  TMD_INLINE int64_t stride() const { return kColumns * channels; }
};

// Arguments of the ops, checked and as pointers.
struct AttentionArguments {
  const Tensor &table, &s, &query, &key, &value, &vector, &direction, &sender, &row_ptr, &pair;
  int64_t num_heads;

  // Refuses wrong types and shapes, and edges out of range.
  Edges check() const;

  template <class T>
  AttentionInput<T> input(const Edges& edges) const {
    return {table.data<T>(), s.data<T>(),         query.data<T>(),     key.data<T>(),
            value.data<T>(), vector.data<T>(),    direction.data<T>(), static_cast<int32_t>(table.size(0)),
            query.size(1),   num_heads,           edges};
  }
};

inline bool has_shape(const Tensor& tensor, std::initializer_list<int64_t> sizes) {
  if (tensor.dim() != static_cast<int64_t>(sizes.size())) return false;
  for (size_t axis = 0; axis < sizes.size(); ++axis)
    if (tensor.size(axis) != sizes.begin()[axis]) return false;
  return true;
}

inline Edges AttentionArguments::check() const {
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
  return check_edges(sender, row_ptr, pair, N, s.size(0));
}

}  // namespace torchmdnet
