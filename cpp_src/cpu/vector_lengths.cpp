// Lengths of vectors and their derivative (see torchmdnet/ops/vector_lengths.py).
//
// One pass each; threads divide the atoms.
#include "../vector_lengths.h"

#include "../lanes.h"

namespace torchmdnet {
namespace {

constexpr int64_t kGrain = 1 << 12;  // numbers worth a thread

template <class T>
TMD_INLINE void length_rows(const T* v, int64_t C, int64_t begin, int64_t end, T* __restrict out) {
  for (int64_t i = begin; i < end; ++i) {
    TMD_INDEPENDENT
    for (int64_t c = 0; c < C; ++c) out[i * C + c] = vector_length(v + kLengthAxes * i * C + c, C);
  }
}

template <class T>
TMD_INLINE void slope_rows(const T* grad, const T* v, int64_t C, int64_t begin, int64_t end, T* __restrict out) {
  for (int64_t i = begin; i < end; ++i) {
    TMD_INDEPENDENT
    for (int64_t c = 0; c < C; ++c)
      slope_of_length(grad[i * C + c], v + kLengthAxes * i * C + c, C, out + kLengthAxes * i * C + c);
  }
}

}  // namespace

// vector_lengths(v) -> (N, C)
void vector_lengths(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor v(stack[0]);
  check_length_vectors(v);
  const int64_t N = v.size(0), C = v.size(2);
  Tensor out = v.empty_like({N, C});
  for_type(v, [&](auto type) {
    using T = decltype(type);
    const T* from = v.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(N, kGrain / (C + 1) + 1, [&](int64_t begin, int64_t end) { run<length_rows<T>>(from, C, begin, end, to); });
  });
  stack[0] = out.release();
}

// vector_lengths_backward(grad, v) -> (N, 3, C)
void vector_lengths_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), v(stack[1]);
  check_length_vectors(v);
  check_length_gradient(grad, v);
  const int64_t N = v.size(0), C = v.size(2);
  Tensor out = v.empty_like({N, kLengthAxes, C});
  for_type(v, [&](auto type) {
    using T = decltype(type);
    const T *by = grad.data<T>(), *from = v.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(N, kGrain / (C + 1) + 1,
                 [&](int64_t begin, int64_t end) { run<slope_rows<T>>(by, from, C, begin, end, to); });
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
