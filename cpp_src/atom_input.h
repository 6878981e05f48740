// The arrays of atom_projection and vector_exchange: their shapes and types, as CPU and CUDA want them.
#pragma once
#include <initializer_list>

#include "torch_abi.h"

namespace torchmdnet {

inline bool is_matrix(const Tensor& tensor, int64_t rows, int64_t columns) {
  return tensor.dim() == 2 && tensor.size(0) == rows && tensor.size(1) == columns;
}

// Three rows an atom.
inline bool is_vectors(const Tensor& tensor, int64_t rows, int64_t columns) {
  return tensor.dim() == 3 && tensor.size(0) == rows && tensor.size(1) == 3 && tensor.size(2) == columns;
}

// Those of atom_projection and its derivative; `arrays` are all of them.
inline void check_projection(std::initializer_list<const Tensor*> arrays, const Tensor& x, const Tensor& scale,
                             const Tensor& shift, const Tensor& map, const Tensor& transposed, const Tensor& bias) {
  require_float(x, "x must be float32 or float64");
  for (const Tensor* array : arrays)
    require(array->contiguous() && array->dtype() == x.dtype(), "arrays must be contiguous and of one type");
  require(x.dim() == 2, "want x (N, C)");
  const int64_t C = x.size(1);
  for (const Tensor* row : {&scale, &shift})
    require(row->dim() == 1 && row->size(0) == C, "want scale and shift (C,)");
  require(is_matrix(map, C, 5 * C) && is_matrix(transposed, 5 * C, C) && bias.dim() == 1 && bias.size(0) == 5 * C,
          "want map (C, 5 C), transposed (5 C, C) and bias (5 C,)");
}

inline void check_projection_gradients(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& x) {
  const int64_t N = x.size(0), C = x.size(1);
  require(is_matrix(query, N, C) && is_matrix(key, N, C) && is_matrix(value, N, 3 * C),
          "want gradients (N, C), (N, C) and (N, 3 C)");
}

// Those of vector_exchange and its derivative: features of the scalars' and the vectors' shape, and five maps.
inline void check_exchange(std::initializer_list<const Tensor*> scalars, std::initializer_list<const Tensor*> vectors,
                           const Tensor* maps) {
  const Tensor &x = **scalars.begin(), &map = maps[0], &transposed = maps[1], &bias = maps[2];
  require_float(x, "arrays must be float32 or float64");
  require(x.dim() == 2, "want scalars (N, C)");
  const int64_t N = x.size(0), C = x.size(1);
  for (const Tensor* array : scalars) require(is_matrix(*array, N, C), "want scalars (N, C)");
  for (const Tensor* array : vectors) require(is_vectors(*array, N, C), "want vectors (N, 3, C)");
  require(is_matrix(map, C, 3 * C) && is_matrix(transposed, 3 * C, C) && bias.dim() == 1 && bias.size(0) == 3 * C &&
              is_matrix(maps[3], C, 3 * C) && is_matrix(maps[4], 3 * C, C),
          "want maps (C, 3 C), transposed maps (3 C, C) and bias (3 C,)");
  const auto require_like = [&](const Tensor& array) {
    require(array.contiguous() && array.dtype() == x.dtype(), "arrays must be contiguous and of one type");
  };
  for (const Tensor* array : scalars) require_like(*array);
  for (const Tensor* array : vectors) require_like(*array);
  for (int n = 0; n < 5; ++n) require_like(maps[n]);
}

// What the derivative was given of p and o: returns whether there is anything.
inline bool check_kept(const Tensor& p, const Tensor& o, const Tensor& v) {
  const bool keeps = p.dim() == 3 && p.size(0) > 0;
  const int64_t N = v.size(0), C = v.size(2);
  require(!keeps || (is_vectors(p, N, 3 * C) && is_matrix(o, N, 3 * C) && p.contiguous() && o.contiguous() &&
                     p.dtype() == v.dtype() && o.dtype() == v.dtype()),
          "want p (N, 3, 3 C) and o (N, 3 C) of the arrays' type, or none");
  return keeps;
}

}  // namespace torchmdnet
