// What attention of scalars from a table and its derivative share: arguments and their checks.
#pragma once
#include "../edges.h"
#include "../lanes.h"
#include "../radial_table.h"
#include "../scalar_attention_input.h"
#include "parallel_chunks.h"
#include "table_columns.h"
#include "table_edges.h"

namespace torchmdnet {

constexpr int64_t kScalarBatch = 8;  // edges whose numbers stay in the cache between two passes; a multiple of four

// Arrays as in table_scalar_attention.cpp; the gradient is set for the derivative alone.
template <class T>
struct ScalarInput {
  const T *table, *s, *query, *key, *value;
  int32_t num_intervals;
  int64_t channels, num_heads;
  Edges edges;
  const T* grad = nullptr;

  int64_t head_width() const { return channels / num_heads; }
  // First coefficient of a column of the table at some channel.
  TMD_INLINE const T* column(const TablePlace<T>& place, int number, int64_t channel) const {
    return table + (place.interval * int64_t(kCoefficients * kScalarColumns) + number) * channels + channel;
  }
  // From a coefficient to the next one.
  TMD_INLINE int64_t stride() const { return kScalarColumns * channels; }
  // Room for so many numbers of each head and edge of a batch, in whole lanes.
  int64_t batch_numbers(int64_t each) const {
    constexpr int64_t W = 64 / sizeof(T);
    return (each * kScalarBatch * num_heads + W - 1) / W * W;
  }
};

// x * y * w, for W channels.
template <class T, int W>
TMD_INLINE Lanes<T, W> product(const T* x, const T* y, const Lanes<T, W>& w) {
  Lanes<T, W> a, b;
  a.load(x);
  b.load(y);
  a.v *= b.v * w.v;
  return a;
}

// Arguments of the ops, checked and as pointers.
struct ScalarArguments {
  const Tensor &table, &s, &query, &key, &value, &sender, &row_ptr, &pair;
  int64_t num_heads;

  // Refuses wrong types and shapes, and edges out of range.
  Edges check() const;

  template <class T>
  ScalarInput<T> input(const Edges& edges) const {
    return {table.data<T>(), s.data<T>(), query.data<T>(), key.data<T>(), value.data<T>(),
            static_cast<int32_t>(table.size(0)), query.size(1), num_heads, edges};
  }
};

inline Edges ScalarArguments::check() const {
  ScalarAttentionTensors{table, s, query, key, value}.check(num_heads);
  return check_edges(sender, row_ptr, pair, query.size(0), s.size(0));
}

}  // namespace torchmdnet
