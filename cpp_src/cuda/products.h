// Products of matrices by PyTorch, which hands them to the library that knows the device best, on the current stream.
//
// Each is one launch for most sizes. They are as deterministic as PyTorch's own.
#pragma once
#include "torch_cuda.h"

namespace torchmdnet {

// The same numbers as a contiguous array of another shape, or of two axes exchanged by their strides.
inline Tensor view(const Tensor& x, std::initializer_list<int64_t> sizes, std::initializer_list<int64_t> strides) {
  AtenTensorHandle handle;
  TMD_CHECK(aoti_torch__reinterpret_tensor(x.handle(), static_cast<int64_t>(sizes.size()), sizes.begin(),
                                           strides.begin(), 0, &handle));
  return Tensor(handle);
}
inline Tensor rows_of(const Tensor& x, int64_t rows, int64_t columns) {
  return view(x, {rows, columns}, {columns, 1});
}

// out = a b
inline void product(const Tensor& a, const Tensor& b, const Tensor& out) {
  TMD_CHECK(aoti_torch_cuda_mm_out(out.handle(), a.handle(), b.handle()));
}
// out = bias + a b, bias a row
inline void affine_product(const Tensor& bias, const Tensor& a, const Tensor& b, const Tensor& out) {
  TMD_CHECK(aoti_torch_cuda_addmm_out(out.handle(), bias.handle(), a.handle(), b.handle(), 1.0, 1.0));
}
// out += a b
inline void add_product(const Tensor& a, const Tensor& b, const Tensor& out) {
  TMD_CHECK(aoti_torch_cuda_addmm_out(out.handle(), out.handle(), a.handle(), b.handle(), 1.0, 1.0));
}

enum class Map { kForward, kTranspose };  // x W^T and x W

// out[c] = x[c] W[c]^T, or x[c] W[c], for each of the components: x, out (9, N, C), maps W (9, C, C)
inline void map_components(const Tensor& x, const Tensor& maps, Map map, const Tensor& out) {
  const int64_t C = maps.size(1);
  const Tensor turned = view(maps, {maps.size(0), C, C}, {C * C, 1, C});
  const Tensor& right = map == Map::kForward ? turned : maps;
  TMD_CHECK(aoti_torch_cuda_bmm_out(out.handle(), x.handle(), right.handle()));
}

}  // namespace torchmdnet
