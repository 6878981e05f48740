// The arrays of a list of pairs, whose length may be fixed: then the rows that are left are padding, and a list that
// cannot be told is one of NaN.
#pragma once
#include "device.cuh"

namespace torchmdnet {

// shift is null where no box was given.
template <class T>
struct Rows {
  T *vector, *distance;
  int32_t *receiver, *sender, *shift;
  int32_t *row_ptr, *status;
  int64_t capacity;  // rows of the arrays; negative: not known before the pairs are counted
};

// After a fault the atoms share the NaN edges, so that no sum over an atom's row stays finite: first edge of an atom,
// and the atom that an edge belongs to.
__device__ inline int32_t poisoned_row(int64_t atom, int64_t num_atoms, int64_t capacity) {
  return capacity > 0 && num_atoms > 0 ? static_cast<int32_t>(atom * capacity / num_atoms) : 0;
}
__device__ inline int32_t poisoned_atom(int64_t edge, int64_t num_atoms, int64_t capacity) {
  return num_atoms > 0 ? static_cast<int32_t>(((edge + 1) * num_atoms - 1) / capacity) : 0;
}

// Rows that are no pairs: at the cutoff, where all functions of the distance vanish, or NaN after a fault. By all
// threads of the grid.
template <class T>
__device__ void write_padding(const Rows<T>& rows, int64_t num_atoms, double cutoff, bool failed) {
  const T distance = failed ? static_cast<T>(NAN) : static_cast<T>(cutoff), other = failed ? distance : T(0);
  const int32_t last = num_atoms ? static_cast<int32_t>(num_atoms - 1) : 0;
  const int64_t begin = failed ? 0 : rows.row_ptr[num_atoms];
  for (int64_t edge = begin + grid_thread(); edge < rows.capacity; edge += grid_threads()) {
    rows.vector[3 * edge] = distance;
    rows.vector[3 * edge + 1] = rows.vector[3 * edge + 2] = other;
    rows.distance[edge] = distance;
    rows.receiver[edge] = rows.sender[edge] = failed ? poisoned_atom(edge, num_atoms, rows.capacity) : last;
    for (int k = 0; rows.shift && k < 3; ++k) rows.shift[3 * edge + k] = 0;
  }
}

}  // namespace torchmdnet
