// Squared norms of the three parts of tensors (see torchmdnet/ops/part_norms.py).
//
//   part_norms           x (9, N, C) -> (N, 3, C), the sum of squares over a part's components
//   part_norms_backward  of grad (N, 3, C): to_x[c] = 2 grad[part c] x[c]
//
// One pass each. Threads divide the atoms.
#include "../lanes.h"
#include "../part_input.h"
#include "huge_pages.h"
#include "parallel_chunks.h"

namespace torchmdnet {
namespace {

constexpr int64_t kGrain = 1 << 12;  // columns worth a thread

template <class T>
TMD_INLINE void norm_rows(const T* x, int64_t plane, int64_t C, int64_t begin, int64_t end, T* __restrict out) {
  for (int64_t i = begin; i < end; ++i) {
    TMD_INDEPENDENT
    for (int64_t k = 0; k < C; ++k) {
      T sum[kParts] = {};
      for (int c = 0; c < kComponents; ++c) sum[kPart[c]] += x[c * plane + i * C + k] * x[c * plane + i * C + k];
      for (int part = 0; part < kParts; ++part) out[(kParts * i + part) * C + k] = sum[part];
    }
  }
}

template <class T>
TMD_INLINE void slope_rows(const T* grad, const T* x, int64_t plane, int64_t C, int64_t begin, int64_t end,
                           T* __restrict out) {
  for (int c = 0; c < kComponents; ++c) {
    for (int64_t i = begin; i < end; ++i) {
      const T *by = grad + (kParts * i + kPart[c]) * C, *from = x + c * plane + i * C;
      T* to = out + c * plane + i * C;
      TMD_INDEPENDENT
      for (int64_t k = 0; k < C; ++k) to[k] = 2 * by[k] * from[k];
    }
  }
}

int64_t grain_atoms(int64_t channels) { return kGrain / (channels + 1) + 1; }

}  // namespace

// part_norms(x) -> (N, 3, C)
void part_norms(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]);
  const int64_t plane = check_tensors({&x}), C = x.size(2);
  Tensor out = x.empty_like({x.size(1), kParts, C});
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T* from = x.data<T>();
    T* to = out.mutable_data<T>();
    parallel_chunks(x.size(1), grain_atoms(C),
                 [&](int64_t begin, int64_t end) { run<norm_rows<T>>(from, plane, C, begin, end, to); });
  });
  stack[0] = out.release();
}

// part_norms_backward(grad, x) -> (9, N, C)
void part_norms_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), x(stack[1]);
  const int64_t plane = check_tensors({&x}), C = x.size(2);
  check_norms_gradient(grad, x);
  Tensor out = x.empty_like({kComponents, x.size(1), C});
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T *from = x.data<T>(), *by = grad.data<T>();
    T* to = out.mutable_data<T>();
    ask_huge_pages(to, kComponents * plane * sizeof(T));
    parallel_chunks(x.size(1), grain_atoms(C),
                 [&](int64_t begin, int64_t end) { run<slope_rows<T>>(by, from, plane, C, begin, end, to); });
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
