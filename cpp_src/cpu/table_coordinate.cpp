// Where distances lie in a table, and the derivative (see torchmdnet/ops/table_coordinate.py).
//
// One pass each; threads divide the distances.
#include "../table_coordinate.h"

namespace torchmdnet {
namespace {

constexpr int64_t kDistanceGrain = 1 << 12;  // distances worth a thread

}  // namespace

// table_coordinate(distance, rate, end, factor) -> (P,)
void table_coordinate(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor distance(stack[0]);
  const double rate = argument<double>(stack[1]), end = argument<double>(stack[2]), factor = argument<double>(stack[3]);
  check_distances(distance);
  Tensor out = distance.empty_like({distance.size(0)});
  for_type(distance, [&](auto type) {
    using T = decltype(type);
    const TableScale<T> scale{static_cast<T>(rate), static_cast<T>(end), static_cast<T>(factor)};
    const T* from = distance.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(distance.size(0), kDistanceGrain, [&](int64_t begin, int64_t stop) {
      for (int64_t p = begin; p < stop; ++p) to[p] = scale.coordinate(from[p]);
    });
  });
  stack[0] = out.release();
}

// table_coordinate_backward(grad, distance, rate, end, factor) -> (P,)
void table_coordinate_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), distance(stack[1]);
  const double rate = argument<double>(stack[2]), end = argument<double>(stack[3]), factor = argument<double>(stack[4]);
  check_distances(distance);
  check_coordinate_gradient(grad, distance);
  Tensor out = distance.empty_like({distance.size(0)});
  for_type(distance, [&](auto type) {
    using T = decltype(type);
    const TableScale<T> scale{static_cast<T>(rate), static_cast<T>(end), static_cast<T>(factor)};
    const T *by = grad.data<T>(), *from = distance.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(distance.size(0), kDistanceGrain, [&](int64_t begin, int64_t stop) {
      for (int64_t p = begin; p < stop; ++p) to[p] = by[p] * scale.slope(from[p]);
    });
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
