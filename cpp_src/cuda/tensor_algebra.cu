// Products and normalisation of 3x3 tensors given by nine components; see cpu/tensor_algebra.cpp.
//
// Each op is one launch, a thread for one to four neighbouring columns (N x C of them), on the current stream, without
// synchronisation; deterministic: columns are independent. A product reads 18 and writes 9 numbers a column;
// normalisation, its slope and its curvature read 9, 18 and 27 and write 9. All side by side, in pieces of 16 bytes a
// thread where there are enough columns and their number is a multiple of as many: bound by memory.
#include "tensor_algebra.cuh"

#include "../tensor_input.h"
#include "torch_cuda.h"

namespace torchmdnet {
namespace {

// Applies column, a functor for each type of number, to K tensors of one shape. Returns the result.
template <class T, int K, class Column>
void run_columns(const Tensor* const (&x)[K], const Column& column, Tensor& out, int64_t count, Stream stream) {
  Columns<T, K> d{};
  for (int k = 0; k < K; ++k) d.in[k] = x[k]->template data<T>();
  d.out = out.mutable_data<T>();
  d.count = count;
  const int64_t run = count < kFewColumns ? 1 : count;
  std::initializer_list<const void*> arrays = {d.in[0], d.in[K / 2], d.in[K - 1], d.out};
  for_packs<T>(count, run, arrays, [&](auto width) { map_columns<width.value>(d, column, stream); });
}

Tensor empty_tensor_like(const Tensor& x) { return x.empty_like({kComponents, x.size(1), x.size(2)}); }

}  // namespace

// tensor_product(a, b, transpose_a, transpose_b, both): A B, with `both` A B + B A
void tensor_product_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor a(stack[0]), b(stack[1]);
  const bool transpose_a = argument<int64_t>(stack[2]), transpose_b = argument<int64_t>(stack[3]),
             both = argument<int64_t>(stack[4]);
  const int64_t count = check_tensors({&a, &b});
  const OnDevice device({&a, &b});
  Tensor out = empty_tensor_like(a);
  for_type(a, [&](auto zero) {
    using T = decltype(zero);
    const T sign_a = transpose_a ? -1 : 1, sign_b = transpose_b ? -1 : 1;
    if (both)
      run_columns<T>({&a, &b}, ProductColumn<T, true>{sign_a, sign_b}, out, count, device.stream());
    else
      run_columns<T>({&a, &b}, ProductColumn<T, false>{sign_a, sign_b}, out, count, device.stream());
  });
  stack[0] = out.release();
}

void tensor_normalize_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]);
  const int64_t count = check_tensors({&x});
  const OnDevice device({&x});
  Tensor out = empty_tensor_like(x);
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    run_columns<T>({&x}, NormalizeColumn<T>{}, out, count, device.stream());
  });
  stack[0] = out.release();
}

void tensor_normalize_slope_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), grad(stack[1]);
  const int64_t count = check_tensors({&x, &grad});
  const OnDevice device({&x, &grad});
  Tensor out = empty_tensor_like(x);
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    run_columns<T>({&x, &grad}, SlopeColumn<T>{}, out, count, device.stream());
  });
  stack[0] = out.release();
}

void tensor_normalize_curvature_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), grad(stack[1]), other(stack[2]);
  const int64_t count = check_tensors({&x, &grad, &other});
  const OnDevice device({&x, &grad, &other});
  Tensor out = empty_tensor_like(x);
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    run_columns<T>({&x, &grad, &other}, CurvatureColumn<T>{}, out, count, device.stream());
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
