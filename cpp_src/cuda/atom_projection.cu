// Queries, keys and values of atoms from their normalised features, and the derivative; see cpu/atom_projection.cpp.
//
// On the current stream, without synchronisation; deterministic but for what PyTorch's products are. A warp normalises a
// row, which it reads three times, from the caches but for the first; a thread moves a number between the joined rows
// (N, 5 C) of the product and the three arrays.
#include "atom_projection.cuh"

#include "../atom_input.h"
#include "products.h"

namespace torchmdnet {
namespace {

template <class T>
LayerNorm<T> layer_norm_of(const Tensor& x, const Tensor& scale, const Tensor& shift, double eps) {
  return {x.data<T>(), scale.data<T>(), shift.data<T>(), x.size(0), x.size(1), static_cast<T>(eps)};
}

}  // namespace

// atom_projection(x, scale, shift, map, transposed, bias, eps) -> (N, C), (N, C), (N, 3 C)
//
// Two launches and a product between them.
void atom_projection_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), scale(stack[1]), shift(stack[2]), map(stack[3]), transposed(stack[4]), bias(stack[5]);
  const double eps = argument<double>(stack[6]);
  check_projection({&x, &scale, &shift, &map, &transposed, &bias}, x, scale, shift, map, transposed, bias);
  const OnDevice device({&x, &scale, &shift, &map, &transposed, &bias});
  const int64_t N = x.size(0), C = x.size(1);
  Tensor query = x.empty_like({N, C}), key = x.empty_like({N, C}), value = x.empty_like({N, 3 * C});
  const Tensor normal = x.empty_like({N, C}), joined = x.empty_like({N, kProjections * C});
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(layer_norm_kernel<T>, blocks_for(N * kWarp, kBlock), kBlock, device.stream(),
               layer_norm_of<T>(x, scale, shift, eps), normal.mutable_data<T>());
    affine_product(bias, normal, map, joined);
    TMD_LAUNCH(deal_projections_kernel<T>, blocks_for(N * kProjections * C, kBlock), kBlock, device.stream(),
               joined.data<T>(), N, C, query.mutable_data<T>(), key.mutable_data<T>(), value.mutable_data<T>());
  });
  stack[0] = query.release();
  stack[1] = key.release();
  stack[2] = value.release();
}

// atom_projection_backward(grad_query, grad_key, grad_value, x, scale, shift, map, transposed, bias, eps) -> (N, C)
//
// Two launches and a product between them.
void atom_projection_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor query(stack[0]), key(stack[1]), value(stack[2]), x(stack[3]), scale(stack[4]), shift(stack[5]),
      map(stack[6]), transposed(stack[7]), bias(stack[8]);
  const double eps = argument<double>(stack[9]);
  check_projection({&x, &scale, &shift, &map, &transposed, &bias, &query, &key, &value}, x, scale, shift, map,
                   transposed, bias);
  check_projection_gradients(query, key, value, x);
  const OnDevice device({&x, &query, &key, &value, &scale, &shift, &map, &transposed, &bias});
  const int64_t N = x.size(0), C = x.size(1);
  Tensor out = x.empty_like({N, C});
  const Tensor joined = x.empty_like({N, kProjections * C}), by_normal = x.empty_like({N, C});
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(join_projections_kernel<T>, blocks_for(N * kProjections * C, kBlock), kBlock, device.stream(),
               query.data<T>(), key.data<T>(), value.data<T>(), N, C, joined.mutable_data<T>());
    product(joined, transposed, by_normal);
    TMD_LAUNCH(layer_norm_backward_kernel<T>, blocks_for(N * kWarp, kBlock), kBlock, device.stream(),
               layer_norm_of<T>(x, scale, shift, eps), by_normal.data<T>(), out.mutable_data<T>());
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
