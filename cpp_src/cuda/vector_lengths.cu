// Lengths of vectors and their derivative; see cpu/vector_lengths.cpp.
//
// One launch each, a thread a channel of an atom, on the current stream, without synchronisation; deterministic.
// Neighbouring threads read and write side by side, 4 and 7 numbers each.
#include "vector_lengths.cuh"

#include "torch_cuda.h"

namespace torchmdnet {

// vector_lengths(v) -> (N, C)
void vector_lengths_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor v(stack[0]);
  check_length_vectors(v);
  const OnDevice device({&v});
  const int64_t N = v.size(0), C = v.size(2);
  Tensor out = v.empty_like({N, C});
  for_type(v, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(vector_lengths_kernel<T>, blocks_for(N * C, kBlock), kBlock, device.stream(), v.data<T>(), N, C,
               out.mutable_data<T>());
  });
  stack[0] = out.release();
}

// vector_lengths_backward(grad, v) -> (N, 3, C)
void vector_lengths_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), v(stack[1]);
  check_length_vectors(v);
  check_length_gradient(grad, v);
  const OnDevice device({&v, &grad});
  const int64_t N = v.size(0), C = v.size(2);
  Tensor out = v.empty_like({N, kLengthAxes, C});
  for_type(v, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(vector_lengths_backward_kernel<T>, blocks_for(N * C, kBlock), kBlock, device.stream(), grad.data<T>(),
               v.data<T>(), N, C, out.mutable_data<T>());
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
