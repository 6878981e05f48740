// Tensors of the directions of edges, and gradients by distances as gradients by vectors; see cpu/edge_tensors.cpp.
//
// One launch each, a thread an edge, on the current stream, without synchronisation; deterministic. An edge reads and
// writes a row or two of 3 and 9 numbers side by side; the caches put together what neighbouring threads touch.
#include "edge_tensors.cuh"

#include "torch_cuda.h"

namespace torchmdnet {

// edge_tensors(vector) -> (E, 9)
void edge_tensors_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor vector(stack[0]);
  check_edge_vectors(vector);
  const OnDevice device({&vector});
  const int64_t E = vector.size(0);
  Tensor out = vector.empty_like({E, kComponents});
  for_type(vector, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(edge_tensors_kernel<T>, blocks_for(E, kBlock), kBlock, device.stream(), vector.data<T>(), E,
               out.mutable_data<T>());
  });
  stack[0] = out.release();
}

// edge_tensors_backward(grad, vector) -> (E, 3)
void edge_tensors_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), vector(stack[1]);
  check_edge_vectors(vector);
  check_edge_gradient(grad, vector);
  const OnDevice device({&vector, &grad});
  const int64_t E = vector.size(0);
  Tensor out = vector.empty_like({E, 3});
  for_type(vector, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(edge_tensors_backward_kernel<T>, blocks_for(E, kBlock), kBlock, device.stream(), grad.data<T>(),
               vector.data<T>(), E, out.mutable_data<T>());
  });
  stack[0] = out.release();
}

// sender_directions(vector) -> (E, 3)
void sender_directions_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor vector(stack[0]);
  check_edge_vectors(vector);
  const OnDevice device({&vector});
  const int64_t E = vector.size(0);
  Tensor out = vector.empty_like({E, 3});
  for_type(vector, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(sender_directions_kernel<T>, blocks_for(E, kBlock), kBlock, device.stream(), vector.data<T>(), E,
               out.mutable_data<T>());
  });
  stack[0] = out.release();
}

// sender_directions_backward(grad, vector) -> (E, 3)
void sender_directions_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), vector(stack[1]);
  check_edge_vectors(vector);
  check_direction_gradient(grad, vector);
  const OnDevice device({&vector, &grad});
  const int64_t E = vector.size(0);
  Tensor out = vector.empty_like({E, 3});
  for_type(vector, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(sender_directions_backward_kernel<T>, blocks_for(E, kBlock), kBlock, device.stream(), grad.data<T>(),
               vector.data<T>(), E, out.mutable_data<T>());
  });
  stack[0] = out.release();
}

// along_vectors(by_vector, by_distance, vector, distance) -> (E, 3)
void along_vectors_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor by_vector(stack[0]), by_distance(stack[1]), vector(stack[2]), distance(stack[3]);
  check_along(by_vector, by_distance, vector, distance);
  const OnDevice device({&vector, &by_vector, &by_distance, &distance});
  const int64_t E = vector.size(0);
  Tensor out = vector.empty_like({E, 3});
  for_type(vector, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(along_vectors_kernel<T>, blocks_for(E, kBlock), kBlock, device.stream(), by_vector.data<T>(),
               by_distance.data<T>(), vector.data<T>(), distance.data<T>(), E, out.mutable_data<T>());
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
