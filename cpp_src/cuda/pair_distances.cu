// Distances of pairs from those of their edges, and the derivative; see cpu/pair_distances.cpp.
//
// One launch each, a thread for a number that is written, on the current stream, without synchronisation; deterministic.
#include "pair_distances.cuh"

#include "../pair_distances.h"
#include "torch_cuda.h"

namespace torchmdnet {

// pair_distances(distance, first, pair) -> (P,)
void pair_distances_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor distance(stack[0]), first(stack[1]), pair(stack[2]);
  check_pair_distances(distance, first, pair);
  const OnDevice device({&distance, &first, &pair});
  const int64_t P = first.size(0), E = distance.size(0);
  Tensor out = distance.empty_like({P});
  for_type(distance, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(pair_distances_kernel<T>, blocks_for(P, kBlock), kBlock, device.stream(), distance.data<T>(),
               first.data<int32_t>(), P, E, out.mutable_data<T>());
  });
  stack[0] = out.release();
}

// pair_distances_backward(grad, first, pair) -> (E,)
void pair_distances_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), first(stack[1]), pair(stack[2]);
  check_pair_gradient(grad, first, pair);
  const OnDevice device({&grad, &first, &pair});
  const int64_t P = first.size(0), E = pair.size(0);
  Tensor out = grad.empty_like({E});
  for_type(grad, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(pair_distances_backward_kernel<T>, blocks_for(E, kBlock), kBlock, device.stream(), grad.data<T>(),
               first.data<int32_t>(), pair.data<int32_t>(), P, E, out.mutable_data<T>());
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
