// Where distances lie in a table, and the derivative; see cpu/table_coordinate.cpp.
//
// One launch each, a thread a distance, on the current stream, without synchronisation; deterministic. Reads one or two
// numbers a distance and writes one.
#include "table_coordinate.cuh"

#include "torch_cuda.h"

namespace torchmdnet {
namespace {

// From the arguments of the ops that follow the tensors.
template <class T>
TableScale<T> table_scale(const StableIValue* rest) {
  return {static_cast<T>(argument<double>(rest[0])), static_cast<T>(argument<double>(rest[1])),
          static_cast<T>(argument<double>(rest[2]))};
}

}  // namespace

// table_coordinate(distance, rate, end, factor) -> (P,)
void table_coordinate_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor distance(stack[0]);
  check_distances(distance);
  const OnDevice device({&distance});
  const int64_t P = distance.size(0);
  Tensor out = distance.empty_like({P});
  for_type(distance, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(table_coordinate_kernel<T>, blocks_for(P, kBlock), kBlock, device.stream(), table_scale<T>(stack + 1),
               distance.data<T>(), P, out.mutable_data<T>());
  });
  stack[0] = out.release();
}

// table_coordinate_backward(grad, distance, rate, end, factor) -> (P,)
void table_coordinate_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), distance(stack[1]);
  check_distances(distance);
  check_coordinate_gradient(grad, distance);
  const OnDevice device({&distance, &grad});
  const int64_t P = distance.size(0);
  Tensor out = distance.empty_like({P});
  for_type(distance, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(table_coordinate_backward_kernel<T>, blocks_for(P, kBlock), kBlock, device.stream(),
               table_scale<T>(stack + 2), grad.data<T>(), distance.data<T>(), P, out.mutable_data<T>());
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
