// What attention from a table and its derivative share: arguments and their checks.
#pragma once
#include "../attention_input.h"
#include "../edges.h"
#include "../lanes.h"
#include "../radial_table.h"
#include "../torch_abi.h"
#include "parallel_chunks.h"
#include "table_columns.h"
#include "table_edges.h"

namespace torchmdnet {

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

  AttentionTensors tensors() const { return {table, s, query, key, value, vector, direction}; }
  // Refuses wrong types and shapes, and edges out of range.
  Edges check() const {
    tensors().check(sender, num_heads);
    return check_edges(sender, row_ptr, pair, query.size(0), s.size(0));
  }

  template <class T>
  AttentionInput<T> input(const Edges& edges) const {
    return {table.data<T>(), s.data<T>(),         query.data<T>(),     key.data<T>(),
            value.data<T>(), vector.data<T>(),    direction.data<T>(), static_cast<int32_t>(table.size(0)),
            query.size(1),   num_heads,           edges};
  }
};

}  // namespace torchmdnet
