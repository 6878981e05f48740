// What the launchers of ops that map the parts of tensors share.
#pragma once
#include "../part_input.h"
#include "column_passes.cuh"
#include "products.h"

namespace torchmdnet {

inline Tensor components_like(const Tensor& x) { return x.empty_like({kComponents, x.size(1), x.size(2)}); }
inline Tensor maps_like(const Tensor& x) { return x.empty_like({kComponents, x.size(2), x.size(2)}); }

// Three maps, to be laid out in an array (9, C, C).
template <class T>
PartMaps<T> part_maps(const Tensor& w0, const Tensor& w1, const Tensor& w2, const Tensor& laid_out) {
  return {{w0.data<T>(), w1.data<T>(), w2.data<T>()}, laid_out.mutable_data<T>(), w0.size(0) * w0.size(0)};
}

// Runs a pass over arrays (9, N, C), and lays out maps on the way if there are some.
template <class T, class Pass>
void pass_over(std::initializer_list<const Tensor*> in, std::initializer_list<const Tensor*> out, const Pass& pass,
               Stream stream, const PartMaps<T>& maps = {}) {
  PassArrays<T, Pass::kIn, Pass::kOut> d{};
  for (int n = 0; n < Pass::kIn; ++n) d.in[n] = in.begin()[n]->template data<T>();
  for (int n = 0; n < Pass::kOut; ++n) d.out[n] = out.begin()[n]->template mutable_data<T>();
  const Tensor& first = **in.begin();
  d.count = first.size(1) * first.size(2);
  d.channels = first.size(2);
  run_pass(d, pass, maps, stream);
}

}  // namespace torchmdnet
