// Normalised tensors with their parts mixed over channels, and parts mixed and scaled; see cpu/tensor_mix.cpp.
//
// All on the current stream, without synchronisation; deterministic but for what PyTorch's products are. The passes are
// one launch each, a thread for one to four neighbouring columns (N x C of them) that are read and written side by side,
// bound by memory; an array (9, C, C) of the maps is made on the way, so that one product serves all components.
#include "tensor_mix.cuh"

#include "part_products.h"

namespace torchmdnet {

// tensor_mix(x, trace_map, skew_map, symmetric_map) -> (9, N, C), (9, N, C)
//
// A pass and a product. The pass reads and writes 9 numbers a column.
void tensor_mix_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), w0(stack[1]), w1(stack[2]), w2(stack[3]);
  check_tensors({&x});
  check_maps(x, {&w0, &w1, &w2});
  const OnDevice device({&x, &w0, &w1, &w2});
  Tensor normal = components_like(x), mixed = components_like(x);
  const Tensor maps = maps_like(x);
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    pass_over<T>({&x}, {&normal}, NormalizePass<T>{}, device.stream(), part_maps<T>(w0, w1, w2, maps));
  });
  map_components(normal, maps, Map::kForward, mixed);
  stack[0] = normal.release();
  stack[1] = mixed.release();
}

// tensor_mix_backward(by_normal, by_mixed, x, trace_map, skew_map, symmetric_map) -> (9, N, C)
//
// The maps, a product and a pass, which reads 27 and writes 9 numbers a column.
void tensor_mix_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor by_normal(stack[0]), by_mixed(stack[1]), x(stack[2]), w0(stack[3]), w1(stack[4]), w2(stack[5]);
  check_tensors({&x, &by_normal, &by_mixed});
  check_maps(x, {&w0, &w1, &w2});
  const OnDevice device({&x, &by_normal, &by_mixed, &w0, &w1, &w2});
  Tensor to_x = components_like(x);
  const Tensor maps = maps_like(x), mapped = components_like(x);
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    lay_out_maps(part_maps<T>(w0, w1, w2, maps), device.stream());
    map_components(by_mixed, maps, Map::kTranspose, mapped);
    pass_over<T>({&x, &by_normal, &mapped}, {&to_x}, NormalizeSlopePass<T>{}, device.stream());
  });
  stack[0] = to_x.release();
}

// tensor_scale(x, scales, trace_map, skew_map, symmetric_map) -> (9, N, C)
//
// The maps, a product and a pass, which reads 12 and writes 9 numbers a column.
void tensor_scale_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), scales(stack[1]), w0(stack[2]), w1(stack[3]), w2(stack[4]);
  check_tensors({&x});
  check_maps(x, {&w0, &w1, &w2});
  check_scales(scales, x);
  const OnDevice device({&x, &scales, &w0, &w1, &w2});
  Tensor out = components_like(x);
  const Tensor maps = maps_like(x), mapped = components_like(x);
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    lay_out_maps(part_maps<T>(w0, w1, w2, maps), device.stream());
    map_components(x, maps, Map::kForward, mapped);
    pass_over<T>({&mapped}, {&out}, ScalePass<T>{scales.data<T>()}, device.stream());
  });
  stack[0] = out.release();
}

// tensor_scale_backward(grad, x, scales, trace_map, skew_map, symmetric_map) -> (9, N, C), (N, 3, C)
//
// The maps, a product, a pass, which reads 21 and writes 12 numbers a column, and a product.
void tensor_scale_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), x(stack[1]), scales(stack[2]), w0(stack[3]), w1(stack[4]), w2(stack[5]);
  check_tensors({&x, &grad});
  check_maps(x, {&w0, &w1, &w2});
  check_scales(scales, x);
  const OnDevice device({&x, &grad, &scales, &w0, &w1, &w2});
  Tensor to_x = components_like(x), to_scales = x.empty_like({x.size(1), kParts, x.size(2)});
  const Tensor maps = maps_like(x), mapped = components_like(x), scaled = components_like(x);
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    lay_out_maps(part_maps<T>(w0, w1, w2, maps), device.stream());
    map_components(x, maps, Map::kForward, mapped);
    const ScaleSlopePass<T> pass{scales.data<T>(), to_scales.mutable_data<T>()};
    pass_over<T>({&grad, &mapped}, {&scaled}, pass, device.stream());
  });
  map_components(scaled, maps, Map::kTranspose, to_x);
  stack[0] = to_x.release();
  stack[1] = to_scales.release();
}

}  // namespace torchmdnet
