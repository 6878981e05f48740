// Products and normalisation of 3x3 tensors given by nine components (see torchmdnet/ops/tensor_algebra.py).
//
// Arrays are (9, M) and contiguous, M atoms x channels; every column m is one tensor, independent of the others. One
// pass each: a product reads 18 M and writes 9 M numbers, normalisation reads 9, 18 or 27 M and writes 9 M. Threads
// divide M.
#include "../lanes.h"
#include "../tensor_algebra.h"
#include "../tensor_input.h"
#include "../torch_abi.h"

namespace torchmdnet {
namespace {

constexpr int64_t kGrain = 1 << 12;  // columns worth a thread

template <class T, bool both>
TMD_INLINE void product_columns(const T* __restrict a, const T* __restrict b, T sign_a, T sign_b, int64_t plane,
                                int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t m = begin; m < end; ++m) product_column<both>(a, b, sign_a, sign_b, plane, m, out);
}

template <class T>
TMD_INLINE void normalize_columns(const T* __restrict x, int64_t plane, int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t m = begin; m < end; ++m) normalize_column(x, plane, m, out);
}

template <class T>
TMD_INLINE void slope_columns(const T* __restrict x, const T* __restrict g, int64_t plane, int64_t begin, int64_t end,
                              T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t m = begin; m < end; ++m) slope_column(x, g, plane, m, out);
}

template <class T>
TMD_INLINE void curvature_columns(const T* __restrict x, const T* __restrict g, const T* __restrict h, int64_t plane,
                                  int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t m = begin; m < end; ++m) curvature_column(x, g, h, plane, m, out);
}

Tensor empty_like(const Tensor& x) { return x.empty_like({kComponents, x.size(1), x.size(2)}); }

int64_t flag(StableIValue value) {
  int64_t number;
  std::memcpy(&number, &value, sizeof number);
  return number;
}

}  // namespace

// tensor_product(a, b, transpose_a, transpose_b, both): A B, with `both` A B + B A
void tensor_product(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor a(stack[0]), b(stack[1]);
  const int64_t transpose_a = flag(stack[2]), transpose_b = flag(stack[3]), both = flag(stack[4]);
  const int64_t columns = check_tensors({&a, &b});
  Tensor out = empty_like(a);
  for_type(a, [&](auto type) {
    using T = decltype(type);
    const T *left = a.data<T>(), *right = b.data<T>();
    T* to = out.mutable_data<T>();
    const T sign_a = transpose_a ? -1 : 1, sign_b = transpose_b ? -1 : 1;
    parallel_for(columns, kGrain, [&](int64_t begin, int64_t end) {
      if (both)
        run<product_columns<T, true>>(left, right, sign_a, sign_b, columns, begin, end, to);
      else
        run<product_columns<T, false>>(left, right, sign_a, sign_b, columns, begin, end, to);
    });
  });
  stack[0] = out.release();
}

void tensor_normalize(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]);
  const int64_t columns = check_tensors({&x});
  Tensor out = empty_like(x);
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T* from = x.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(columns, kGrain,
                 [&](int64_t begin, int64_t end) { run<normalize_columns<T>>(from, columns, begin, end, to); });
  });
  stack[0] = out.release();
}

void tensor_normalize_slope(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), grad(stack[1]);
  const int64_t columns = check_tensors({&x, &grad});
  Tensor out = empty_like(x);
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T *from = x.data<T>(), *g = grad.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(columns, kGrain,
                 [&](int64_t begin, int64_t end) { run<slope_columns<T>>(from, g, columns, begin, end, to); });
  });
  stack[0] = out.release();
}

void tensor_normalize_curvature(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), grad(stack[1]), other(stack[2]);
  const int64_t columns = check_tensors({&x, &grad, &other});
  Tensor out = empty_like(x);
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T *from = x.data<T>(), *g = grad.data<T>(), *h = other.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(columns, kGrain,
                 [&](int64_t begin, int64_t end) { run<curvature_columns<T>>(from, g, h, columns, begin, end, to); });
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
