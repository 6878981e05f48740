// Tensors of the directions of edges, and what gradients by distances are for vectors (see
// torchmdnet/ops/edge_tensors.py and along_vectors.py).
//
//   edge_tensors           vector (E, 3) -> (E, 9), components of 1 + K(u) + (u u^T - |u|^2 / 3), u = v / |v|, 0 of 0
//   edge_tensors_backward  of grad (E, 9): to_vector (E, 3), 0 where v = 0
//   along_vectors          of gradients by vectors and distances: by_vector + (by_distance / distance) vector, the second
//                          term 0 where the distance is
//
// One pass each; a row is computed by one thread from its own numbers.
#include <cmath>

#include "../edges.h"
#include "../lanes.h"
#include "../torch_abi.h"
#include "huge_pages.h"

namespace torchmdnet {
namespace {

constexpr int64_t kEdgeGrain = 1 << 11;  // edges worth a thread
constexpr double kRoot2 = 1.41421356237309504880, kRoot3 = 1.73205080756887729353, kRoot6 = 2.44948974278317809820;

// The direction, and one over the length or zero.
template <class T>
TMD_INLINE T direction(const T* v, T* u) {
  const T squared = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
  const T inverse = squared > 0 ? 1 / std::sqrt(squared) : 0;
  for (int x = 0; x < 3; ++x) u[x] = v[x] * inverse;
  return inverse;
}

template <class T>
TMD_INLINE void tensor_rows(const T* vector, int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t e = begin; e < end; ++e) {
    T u[3];
    direction(vector + 3 * e, u);
    T* row = out + kComponents * e;
    row[0] = T(kRoot3);
    for (int x = 0; x < 3; ++x) row[1 + x] = T(kRoot2) * u[x];
    row[4] = T(kRoot2) * u[0] * u[1];
    row[5] = T(kRoot2) * u[1] * u[2];
    row[6] = T(kRoot2) * u[0] * u[2];
    row[7] = (u[0] * u[0] - u[1] * u[1]) / T(kRoot2);
    row[8] = (2 * u[2] * u[2] - u[0] * u[0] - u[1] * u[1]) / T(kRoot6);
  }
}

template <class T>
TMD_INLINE void slope_rows(const T* grad, const T* vector, int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t e = begin; e < end; ++e) {
    T u[3], by_u[3];
    const T inverse = direction(vector + 3 * e, u);
    const T* g = grad + kComponents * e;
    by_u[0] = T(kRoot2) * (g[1] + u[1] * g[4] + u[2] * g[6] + u[0] * g[7]) - T(2 / kRoot6) * u[0] * g[8];
    by_u[1] = T(kRoot2) * (g[2] + u[0] * g[4] + u[2] * g[5] - u[1] * g[7]) - T(2 / kRoot6) * u[1] * g[8];
    by_u[2] = T(kRoot2) * (g[3] + u[1] * g[5] + u[0] * g[6]) + T(4 / kRoot6) * u[2] * g[8];
    const T along = by_u[0] * u[0] + by_u[1] * u[1] + by_u[2] * u[2];
    for (int x = 0; x < 3; ++x) out[3 * e + x] = (by_u[x] - along * u[x]) * inverse;
  }
}

template <class T>
TMD_INLINE void along_rows(const T* by_vector, const T* by_distance, const T* vector, const T* distance, int64_t begin,
                           int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t e = begin; e < end; ++e) {
    const T slope = distance[e] == 0 ? T(0) : by_distance[e] / distance[e];
    for (int x = 0; x < 3; ++x) out[3 * e + x] = by_vector[3 * e + x] + slope * vector[3 * e + x];
  }
}

void check_rows(const Tensor& array, const Tensor& like, int64_t columns, const char* message) {
  require(array.contiguous() && array.dtype() == like.dtype() && array.dim() == (columns ? 2 : 1) &&
              array.size(0) == like.size(0) && (columns == 0 || array.size(1) == columns),
          message);
}

void check_vector(const Tensor& vector) {
  require_float(vector, "vectors must be float32 or float64");
  check_rows(vector, vector, 3, "vectors must be contiguous, of shape (E, 3)");
}

}  // namespace

// edge_tensors(vector) -> (E, 9)
void edge_tensors(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor vector(stack[0]);
  check_vector(vector);
  Tensor out = vector.empty_like({vector.size(0), kComponents});
  for_type(vector, [&](auto type) {
    using T = decltype(type);
    const T* from = vector.data<T>();
    T* to = out.mutable_data<T>();
    ask_huge_pages(to, kComponents * vector.size(0) * sizeof(T));
    parallel_for(vector.size(0), kEdgeGrain,
                 [&](int64_t begin, int64_t end) { run<tensor_rows<T>>(from, begin, end, to); });
  });
  stack[0] = out.release();
}

// edge_tensors_backward(grad, vector) -> (E, 3)
void edge_tensors_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), vector(stack[1]);
  check_vector(vector);
  check_rows(grad, vector, kComponents, "the gradient must be contiguous, of shape (E, 9) and of the vectors' type");
  Tensor out = vector.empty_like({vector.size(0), 3});
  for_type(vector, [&](auto type) {
    using T = decltype(type);
    const T *by = grad.data<T>(), *from = vector.data<T>();
    T* to = out.mutable_data<T>();
    ask_huge_pages(to, 3 * vector.size(0) * sizeof(T));
    parallel_for(vector.size(0), kEdgeGrain,
                 [&](int64_t begin, int64_t end) { run<slope_rows<T>>(by, from, begin, end, to); });
  });
  stack[0] = out.release();
}

// along_vectors(by_vector, by_distance, vector, distance) -> (E, 3)
void along_vectors(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor by_vector(stack[0]), by_distance(stack[1]), vector(stack[2]), distance(stack[3]);
  check_vector(vector);
  check_rows(by_vector, vector, 3, "gradients by vectors must be contiguous, of shape (E, 3) and of the vectors' type");
  for (const Tensor* rows : {&by_distance, &distance})
    check_rows(*rows, vector, 0, "distances and gradients by them must be contiguous, of shape (E,), of the vectors' type");
  Tensor out = vector.empty_like({vector.size(0), 3});
  for_type(vector, [&](auto type) {
    using T = decltype(type);
    const T *first = by_vector.data<T>(), *second = by_distance.data<T>(), *from = vector.data<T>(),
            *length = distance.data<T>();
    T* to = out.mutable_data<T>();
    ask_huge_pages(to, 3 * vector.size(0) * sizeof(T));
    parallel_for(vector.size(0), kEdgeGrain,
                 [&](int64_t begin, int64_t end) { run<along_rows<T>>(first, second, from, length, begin, end, to); });
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
