// Tensors of the directions of edges, and what gradients by distances are for vectors (see
// torchmdnet/ops/edge_tensors.py and along_vectors.py).
//
//   edge_tensors           vector (E, 3) -> (E, 9), components of 1 + K(u) + (u u^T - |u|^2 / 3), u = v / |v|, 0 of 0
//   edge_tensors_backward  of grad (E, 9): to_vector (E, 3), 0 where v = 0
//   sender_directions           vector (E, 3) -> -u (E, 3)
//   sender_directions_backward  of grad (E, 3): to_vector (E, 3), 0 where v = 0
//   along_vectors          of gradients by vectors and distances: by_vector + (by_distance / distance) vector, the second
//                          term 0 where the distance is
//
// One pass each; a row is computed by one thread from its own numbers.
#include "../edge_tensors.h"

#include "../lanes.h"
#include "huge_pages.h"
#include "parallel_chunks.h"

namespace torchmdnet {
namespace {

constexpr int64_t kEdgeGrain = 1 << 11;  // edges worth a thread

template <class T>
TMD_INLINE void tensor_rows(const T* vector, int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t e = begin; e < end; ++e) tensor_of_edge(vector + 3 * e, out + kComponents * e);
}

template <class T>
TMD_INLINE void slope_rows(const T* grad, const T* vector, int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t e = begin; e < end; ++e) slope_of_edge(grad + kComponents * e, vector + 3 * e, out + 3 * e);
}

template <class T>
TMD_INLINE void sender_rows(const T* vector, int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t e = begin; e < end; ++e) sender_direction(vector + 3 * e, out + 3 * e);
}

template <class T>
TMD_INLINE void sender_slope_rows(const T* grad, const T* vector, int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t e = begin; e < end; ++e) slope_of_sender_direction(grad + 3 * e, vector + 3 * e, out + 3 * e);
}

template <class T>
TMD_INLINE void along_rows(const T* by_vector, const T* by_distance, const T* vector, const T* distance, int64_t begin,
                           int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t e = begin; e < end; ++e)
    along_edge(by_vector + 3 * e, by_distance[e], vector + 3 * e, distance[e], out + 3 * e);
}

}  // namespace

// edge_tensors(vector) -> (E, 9)
void edge_tensors(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor vector(stack[0]);
  check_edge_vectors(vector);
  Tensor out = vector.empty_like({vector.size(0), kComponents});
  for_type(vector, [&](auto type) {
    using T = decltype(type);
    const T* from = vector.data<T>();
    T* to = out.mutable_data<T>();
    ask_huge_pages(to, kComponents * vector.size(0) * sizeof(T));
    parallel_chunks(vector.size(0), kEdgeGrain,
                 [&](int64_t begin, int64_t end) { run<tensor_rows<T>>(from, begin, end, to); });
  });
  stack[0] = out.release();
}

// edge_tensors_backward(grad, vector) -> (E, 3)
void edge_tensors_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), vector(stack[1]);
  check_edge_vectors(vector);
  check_edge_gradient(grad, vector);
  Tensor out = vector.empty_like({vector.size(0), 3});
  for_type(vector, [&](auto type) {
    using T = decltype(type);
    const T *by = grad.data<T>(), *from = vector.data<T>();
    T* to = out.mutable_data<T>();
    ask_huge_pages(to, 3 * vector.size(0) * sizeof(T));
    parallel_chunks(vector.size(0), kEdgeGrain,
                 [&](int64_t begin, int64_t end) { run<slope_rows<T>>(by, from, begin, end, to); });
  });
  stack[0] = out.release();
}

// sender_directions(vector) -> (E, 3)
void sender_directions(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor vector(stack[0]);
  check_edge_vectors(vector);
  Tensor out = vector.empty_like({vector.size(0), 3});
  for_type(vector, [&](auto type) {
    using T = decltype(type);
    const T* from = vector.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(vector.size(0), kEdgeGrain,
                 [&](int64_t begin, int64_t end) { run<sender_rows<T>>(from, begin, end, to); });
  });
  stack[0] = out.release();
}

// sender_directions_backward(grad, vector) -> (E, 3)
void sender_directions_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), vector(stack[1]);
  check_edge_vectors(vector);
  check_direction_gradient(grad, vector);
  Tensor out = vector.empty_like({vector.size(0), 3});
  for_type(vector, [&](auto type) {
    using T = decltype(type);
    const T *by = grad.data<T>(), *from = vector.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(vector.size(0), kEdgeGrain,
                 [&](int64_t begin, int64_t end) { run<sender_slope_rows<T>>(by, from, begin, end, to); });
  });
  stack[0] = out.release();
}

// along_vectors(by_vector, by_distance, vector, distance) -> (E, 3)
void along_vectors(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor by_vector(stack[0]), by_distance(stack[1]), vector(stack[2]), distance(stack[3]);
  check_along(by_vector, by_distance, vector, distance);
  Tensor out = vector.empty_like({vector.size(0), 3});
  for_type(vector, [&](auto type) {
    using T = decltype(type);
    const T *first = by_vector.data<T>(), *second = by_distance.data<T>(), *from = vector.data<T>(),
            *length = distance.data<T>();
    T* to = out.mutable_data<T>();
    ask_huge_pages(to, 3 * vector.size(0) * sizeof(T));
    parallel_chunks(vector.size(0), kEdgeGrain,
                 [&](int64_t begin, int64_t end) { run<along_rows<T>>(first, second, from, length, begin, end, to); });
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
