// Edges whose weights of the three parts of a tensor are read from a table: what the ops on them share.
#pragma once
#include <algorithm>
#include <vector>

#include "../edges.h"
#include "../lanes.h"
#include "../radial_table.h"
#include "table_columns.h"

namespace torchmdnet {

// One edge as the loop over channels reads it.
template <class T>
struct TableEdge {
  TablePlace<T> place;
  int32_t sender;
};

// The edges of an atom with their places in the table.
template <class T>
TMD_INLINE void place_edges(const T* s, int32_t num_intervals, const Edges& all, int64_t i,
                            std::vector<TableEdge<T>>& edges) {
  const int32_t begin = all.row_ptr[i], end = all.row_ptr[i + 1];
  edges.resize(end - begin);
  for (int32_t e = begin; e < end; ++e) edges[e - begin] = {table_place(s[all.pair[e]], num_intervals), all.sender[e]};
}

// W channels of the weights of the three parts; rows is the interval's first coefficient of the first channel.
template <class T, int W>
TMD_INLINE void table_value(const T* rows, int64_t C, T t, Lanes<T, W>* w) {
  for (int k = 0; k < kParts; ++k) column_value<T, W>(rows + k * C, kParts * C, t, w[k]);
}

// The same with their derivatives by t.
template <class T, int W>
TMD_INLINE void table_value_and_slope(const T* rows, int64_t C, T t, Lanes<T, W>* w, Lanes<T, W>* dw) {
  for (int k = 0; k < kParts; ++k) column_value_and_slope<T, W>(rows + k * C, kParts * C, t, w[k], dw[k]);
}

// From a number for each edge to their sum for each pair; padding counts for nothing.
template <class T>
void sum_of_pairs(const Edges& edges, const T* of_edges, T* of_pairs) {
  std::fill_n(of_pairs, edges.num_pairs, T(0));
  for (int32_t e = 0; e < edges.row_ptr[edges.num_atoms]; ++e) of_pairs[edges.pair[e]] += of_edges[e];
}

}  // namespace torchmdnet
