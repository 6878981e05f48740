// Squared norms of the three parts of tensors; see cpu/part_norms.cpp.
//
// One launch each, a thread for one to four neighbouring columns (N x C of them), on the current stream, without
// synchronisation; deterministic. They read 9 and 12 numbers a column and write 3 and 9: bound by memory.
#include "part_norms.cuh"

#include "part_products.h"

namespace torchmdnet {

// part_norms(x) -> (N, 3, C)
void part_norms_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]);
  check_tensors({&x});
  const OnDevice device({&x});
  Tensor out = x.empty_like({x.size(1), kParts, x.size(2)});
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    pass_over<T>({&x}, {}, NormsPass<T>{out.mutable_data<T>()}, device.stream());
  });
  stack[0] = out.release();
}

// part_norms_backward(grad, x) -> (9, N, C)
void part_norms_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), x(stack[1]);
  check_tensors({&x});
  check_norms_gradient(grad, x);
  const OnDevice device({&x, &grad});
  Tensor to_x = components_like(x);
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    pass_over<T>({&x}, {&to_x}, NormsSlopePass<T>{grad.data<T>()}, device.stream());
  });
  stack[0] = to_x.release();
}

}  // namespace torchmdnet
