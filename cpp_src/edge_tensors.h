// Tensors of the directions of edges and what belongs to them, for one edge (see cpu/edge_tensors.cpp): what the CPU and
// the CUDA code share.
#pragma once
#include <cmath>

#include "edges.h"

namespace torchmdnet {

constexpr double kRoot2 = 1.41421356237309504880, kRoot3 = 1.73205080756887729353, kRoot6 = 2.44948974278317809820;

// The direction, and one over the length or zero.
template <class T>
TMD_SHARED_INLINE T direction(const T* v, T* u) {
  const T squared = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
  const T inverse = squared > 0 ? 1 / std::sqrt(squared) : 0;
  for (int x = 0; x < 3; ++x) u[x] = v[x] * inverse;
  return inverse;
}

template <class T>
TMD_SHARED_INLINE void tensor_of_edge(const T* vector, T* row) {
  T u[3];
  direction(vector, u);
  row[0] = T(kRoot3);
  for (int x = 0; x < 3; ++x) row[1 + x] = T(kRoot2) * u[x];
  row[4] = T(kRoot2) * u[0] * u[1];
  row[5] = T(kRoot2) * u[1] * u[2];
  row[6] = T(kRoot2) * u[0] * u[2];
  row[7] = (u[0] * u[0] - u[1] * u[1]) / T(kRoot2);
  row[8] = (2 * u[2] * u[2] - u[0] * u[0] - u[1] * u[1]) / T(kRoot6);
}

// From the gradient by the direction to that by the vector.
template <class T>
TMD_SHARED_INLINE void slope_of_direction(const T* by_u, const T* u, T inverse, T* out) {
  const T along = by_u[0] * u[0] + by_u[1] * u[1] + by_u[2] * u[2];
  for (int x = 0; x < 3; ++x) out[x] = (by_u[x] - along * u[x]) * inverse;
}

template <class T>
TMD_SHARED_INLINE void slope_of_edge(const T* g, const T* vector, T* out) {
  T u[3], by_u[3];
  const T inverse = direction(vector, u);
  by_u[0] = T(kRoot2) * (g[1] + u[1] * g[4] + u[2] * g[6] + u[0] * g[7]) - T(2 / kRoot6) * u[0] * g[8];
  by_u[1] = T(kRoot2) * (g[2] + u[0] * g[4] + u[2] * g[5] - u[1] * g[7]) - T(2 / kRoot6) * u[1] * g[8];
  by_u[2] = T(kRoot2) * (g[3] + u[1] * g[5] + u[0] * g[6]) + T(4 / kRoot6) * u[2] * g[8];
  slope_of_direction(by_u, u, inverse, out);
}

// The direction from receiver to sender, against the vector; and the gradient by the vector.
template <class T>
TMD_SHARED_INLINE void sender_direction(const T* vector, T* out) {
  T u[3];
  direction(vector, u);
  for (int x = 0; x < 3; ++x) out[x] = -u[x];
}
template <class T>
TMD_SHARED_INLINE void slope_of_sender_direction(const T* g, const T* vector, T* out) {
  T u[3];
  const T inverse = direction(vector, u), by_u[3] = {-g[0], -g[1], -g[2]};
  slope_of_direction(by_u, u, inverse, out);
}

template <class T>
TMD_SHARED_INLINE void along_edge(const T* by_vector, T by_distance, const T* vector, T distance, T* out) {
  const T slope = distance == 0 ? T(0) : by_distance / distance;
  for (int x = 0; x < 3; ++x) out[x] = by_vector[x] + slope * vector[x];
}

// Rows of an array that goes with another one; no columns are those of a vector.
inline void check_edge_rows(const Tensor& array, const Tensor& like, int64_t columns, const char* message) {
  require(array.contiguous() && array.dtype() == like.dtype() && array.dim() == (columns ? 2 : 1) &&
              array.size(0) == like.size(0) && (columns == 0 || array.size(1) == columns),
          message);
}

inline void check_edge_vectors(const Tensor& vector) {
  require_float(vector, "vectors must be float32 or float64");
  check_edge_rows(vector, vector, 3, "vectors must be contiguous, of shape (E, 3)");
}

inline void check_edge_gradient(const Tensor& grad, const Tensor& vector) {
  check_edge_rows(grad, vector, kComponents,
                  "the gradient must be contiguous, of shape (E, 9) and of the vectors' type");
}

inline void check_direction_gradient(const Tensor& grad, const Tensor& vector) {
  check_edge_rows(grad, vector, 3, "the gradient must be contiguous, of shape (E, 3) and of the vectors' type");
}

// Those of along_vectors.
inline void check_along(const Tensor& by_vector, const Tensor& by_distance, const Tensor& vector,
                        const Tensor& distance) {
  check_edge_vectors(vector);
  check_edge_rows(by_vector, vector, 3,
                  "gradients by vectors must be contiguous, of shape (E, 3) and of the vectors' type");
  for (const Tensor* rows : {&by_distance, &distance})
    check_edge_rows(*rows, vector, 0,
                    "distances and gradients by them must be contiguous, of shape (E,), of the vectors' type");
}

}  // namespace torchmdnet
