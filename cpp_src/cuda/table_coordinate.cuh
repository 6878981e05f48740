// Where distances lie in a table, and the derivative; see cpu/table_coordinate.cpp. A thread a distance.
#pragma once
#include "../table_coordinate.h"
#include "device.cuh"

namespace torchmdnet {

template <class T>
__global__ void table_coordinate_kernel(TableScale<T> scale, const T* distance, int64_t count, T* out) {
  for (int64_t p = grid_thread(); p < count; p += grid_threads()) out[p] = scale.coordinate(distance[p]);
}

template <class T>
__global__ void table_coordinate_backward_kernel(TableScale<T> scale, const T* grad, const T* distance, int64_t count,
                                                 T* out) {
  for (int64_t p = grid_thread(); p < count; p += grid_threads()) out[p] = grad[p] * scale.slope(distance[p]);
}

}  // namespace torchmdnet
