// The arrays of the ops that map, scale and update tensors by their parts: their shapes and types, as CPU and CUDA want
// them.
#pragma once
#include "tensor_input.h"

namespace torchmdnet {

// Refuses what is not three matrices for the channels of x.
inline void check_maps(const Tensor& x, std::initializer_list<const Tensor*> maps) {
  for (const Tensor* map : maps)
    require(map->dim() == 2 && map->contiguous() && map->dtype() == x.dtype() && map->size(0) == x.size(2) &&
                map->size(1) == x.size(2),
            "maps must be contiguous, of shape (C, C) and of the tensor's type");
}

// Whether an array is (N, 3, C) for x (9, N, C).
inline bool is_of_parts(const Tensor& array, const Tensor& x) {
  return array.dim() == 3 && array.contiguous() && array.dtype() == x.dtype() && array.size(0) == x.size(1) &&
         array.size(1) == kParts && array.size(2) == x.size(2);
}

inline void check_scales(const Tensor& scales, const Tensor& x) {
  require(is_of_parts(scales, x), "scales must be contiguous, of shape (N, 3, C) and of the tensor's type");
}

inline void check_norms_gradient(const Tensor& grad, const Tensor& x) {
  require(is_of_parts(grad, x), "grad must be contiguous, of shape (N, 3, C) and of the tensor's type");
}

// A factor an atom, or no rows for 1.
inline void check_kappa(const Tensor& kappa, const Tensor& y) {
  require(kappa.dim() == 2 && kappa.contiguous() && kappa.dtype() == y.dtype() && kappa.size(1) == 1 &&
              (kappa.size(0) == 0 || kappa.size(0) == y.size(1)),
          "kappa must be contiguous, of shape (N, 1) or (0, 1) and of the tensor's type");
}

// kappa's numbers, or null for 1.
template <class T>
const T* numbers_of_kappa(const Tensor& kappa) {
  return kappa.size(0) ? kappa.data<T>() : nullptr;
}

}  // namespace torchmdnet
