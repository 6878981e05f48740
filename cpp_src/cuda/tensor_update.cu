// The update of an interaction; see cpu/tensor_update.cpp.
//
// All on the current stream, without synchronisation; deterministic but for what PyTorch's products are. The passes are
// those of column_passes.cuh: bound by memory.
#include "tensor_update.cuh"

#include "part_products.h"

namespace torchmdnet {
namespace {

// Calls body(std::bool_constant).
template <class Body>
void for_both(bool both, const Body& body) {
  if (both) return body(std::true_type());
  body(std::false_type());
}

}  // namespace

// tensor_update(x, y, message, kappa, trace_map, skew_map, symmetric_map, both) -> (9, N, C)
//
// A pass, a product, a pass: they read 18 and write 9 numbers a column, twice.
void tensor_update_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), y(stack[1]), message(stack[2]), kappa(stack[3]), w0(stack[4]), w1(stack[5]), w2(stack[6]);
  const bool both = argument<bool>(stack[7]);
  check_tensors({&x, &y, &message});
  check_maps(x, {&w0, &w1, &w2});
  check_kappa(kappa, x);
  const OnDevice device({&x, &y, &message, &kappa, &w0, &w1, &w2});
  Tensor out = components_like(x);
  const Tensor maps = maps_like(x), normal = components_like(x), change = components_like(x);
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    const T* factors = numbers_of_kappa<T>(kappa);
    for_both(both, [&](auto of_both) {
      pass_over<T>({&y, &message}, {&normal}, ProductPass<T, of_both.value>{factors}, device.stream(),
                   part_maps<T>(w0, w1, w2, maps));
    });
    map_components(normal, maps, Map::kForward, change);
    pass_over<T>({&x, &change}, {&out}, ChangePass<T>{factors}, device.stream());
  });
  stack[0] = out.release();
}

// tensor_update_backward(grad, y, message, kappa, trace_map, skew_map, symmetric_map, both) -> (9, N, C), (9, N, C)
//
// Three passes with two products between them; d is computed again. The passes read 18, 18 and 27 and write 9, 9 and 18
// numbers a column.
void tensor_update_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), y(stack[1]), message(stack[2]), kappa(stack[3]), w0(stack[4]), w1(stack[5]), w2(stack[6]);
  const bool both = argument<bool>(stack[7]);
  check_tensors({&grad, &y, &message});
  check_maps(y, {&w0, &w1, &w2});
  check_kappa(kappa, y);
  const OnDevice device({&y, &grad, &message, &kappa, &w0, &w1, &w2});
  Tensor to_y = components_like(y), to_message = components_like(y);
  // The gradient by n takes the place of n.
  const Tensor maps = maps_like(y), normal = components_like(y), change = components_like(y);
  const Tensor by_change = components_like(y);
  for_type(y, [&](auto zero) {
    using T = decltype(zero);
    const T* factors = numbers_of_kappa<T>(kappa);
    for_both(both, [&](auto of_both) {
      constexpr bool is_both = of_both.value;
      pass_over<T>({&y, &message}, {&normal}, ProductPass<T, is_both>{factors}, device.stream(),
                   part_maps<T>(w0, w1, w2, maps));
      map_components(normal, maps, Map::kForward, change);
      pass_over<T>({&grad, &change}, {&by_change}, ChangeSlopePass<T>{factors}, device.stream());
      map_components(by_change, maps, Map::kTranspose, normal);
      pass_over<T>({&normal, &y, &message}, {&to_y, &to_message}, ProductSlopePass<T, is_both>{factors},
                   device.stream());
    });
  });
  stack[0] = to_y.release();
  stack[1] = to_message.release();
}

}  // namespace torchmdnet
