// Which pairs of a longer list are within a shorter cutoff: what the CPU and the CUDA code share.
#pragma once
#include <cstdint>

#include "neighbor_grid.h"

namespace torchmdnet {

// Positions and a list of directed pairs. box and shift are null where nothing is periodic.
template <class T>
struct PairGeometry {
  const T *pos, *box;
  const int64_t* batch;
  const int32_t *sender, *shift;
  T lower_squared, upper_squared;
};

// Where atoms and cells were when the list was made, and how far an atom may have gone since. Null: nobody asks.
template <class T>
struct KnownGeometry {
  const T *pos, *box;
  T reach_squared;
  int64_t num_box;  // numbers
};

template <class T>
TMD_SHARED_INLINE T squared_length(const T* vector) {
  return vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2];
}

// What is wrong with the position of atom i.
template <class T>
TMD_SHARED_INLINE int32_t fault_of_atom(const T* pos, const KnownGeometry<T>& known, int64_t i) {
  const T* here = pos + 3 * i;
  // Zero times NaN or infinity is NaN.
  if (!(here[0] * T(0) + here[1] * T(0) + here[2] * T(0) == T(0))) return kBadPosition;
  if (!known.pos) return 0;
  T step[3];
  for (int x = 0; x < 3; ++x) step[x] = here[x] - known.pos[3 * i + x];
  return squared_length(step) < known.reach_squared ? 0 : kStaleList;
}

// Vector of pair e of receiver i; whether it is kept. A pair of an atom with itself is, whatever the lower cutoff.
template <class T>
TMD_SHARED_INLINE bool look_at(const PairGeometry<T>& geometry, int64_t i, int64_t e, T* vector) {
  const T *a = geometry.pos + 3 * i, *b = geometry.pos + 3 * int64_t(geometry.sender[e]);
  T shift[3] = {0, 0, 0};
  bool own = geometry.sender[e] == i;
  if (geometry.shift) {
    const int32_t* s = geometry.shift + 3 * e;
    const T* cell = geometry.box + 9 * geometry.batch[i];
    for (int x = 0; x < 3; ++x) shift[x] = s[0] * cell[x] + s[1] * cell[3 + x] + s[2] * cell[6 + x];
    own = own && !(s[0] | s[1] | s[2]);
  }
  for (int x = 0; x < 3; ++x) vector[x] = difference(a[x], b[x], shift[x]);
  const T squared = squared_length(vector);
  return own || (squared < geometry.upper_squared && squared >= geometry.lower_squared);
}

}  // namespace torchmdnet
