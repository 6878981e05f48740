// The update of an interaction in one pass (see torchmdnet/ops/tensor_update.py).
//
// x, y, m (9, N, C), kappa (N, 1) or without rows for 1, maps W of the three parts; for every atom and channel
//   t = kappa (y m + m y), or with both = false  t = 2 y m
//   d = W t / (|t|^2 + 1)
//   tensor_update           out = x + d + kappa d d
//   tensor_update_backward  of grad (9, N, C): to_y, to_m (9, N, C); that of x is grad itself
//
// Blocks of atoms go through all steps while they are in the cache: 27 + 9 numbers of an atom and channel are moved, and
// 27 + 18 in the backward pass, which computes d again. Threads divide the atoms; each number is computed by one of
// them, the same for any division (part_maps.h).
#include "../tensor_update.h"

#include "../part_input.h"
#include "huge_pages.h"
#include "part_maps.h"

namespace torchmdnet {
namespace {

template <class T>
struct Update {
  const T *x, *y, *m, *kappa, *grad;
  int64_t plane, channels;
};

// t and t / (|t|^2 + 1) of `count` atoms from `first` on, in blocks of their own.
template <class T, bool both>
TMD_INLINE void product_rows(const Update<T>* in, int64_t first, int64_t count, T* __restrict t, T* __restrict n) {
  const int64_t C = in->channels, plane = count * C;
  const T *y = in->y, *message = in->m;
  for (int64_t i = 0; i < count; ++i) {
    const T kappa = factor_of(in->kappa, first + i);
    TMD_INDEPENDENT
    for (int64_t k = 0; k < C; ++k) {
      T a[kComponents], b[kComponents], product[kComponents];
      take(y, in->plane, (first + i) * C + k, a);
      take(message, in->plane, (first + i) * C + k, b);
      product_of_message<both>(a, b, kappa, product);
      if (t) put(product, plane, i * C + k, t);
      normalize_column(product, 1, 0, a);
      put(a, plane, i * C + k, n);
    }
  }
}

template <class T>
TMD_INLINE void finish_rows(const Update<T>* in, int64_t first, int64_t count, const T* __restrict d,
                            T* __restrict out) {
  const int64_t C = in->channels, plane = count * C;
  const T* x = in->x;
  for (int64_t i = 0; i < count; ++i) {
    const T kappa = factor_of(in->kappa, first + i);
    TMD_INDEPENDENT
    for (int64_t k = 0; k < C; ++k) {
      T a[kComponents], own[kComponents];
      take(d, plane, i * C + k, a);
      take(x, in->plane, (first + i) * C + k, own);
      add_change(a, kappa, own);
      put(own, in->plane, (first + i) * C + k, out);
    }
  }
}

// From d to the gradient by d, in place: g + kappa (g d^T + d^T g).
template <class T>
TMD_INLINE void slope_of_square(const Update<T>* in, int64_t first, int64_t count, T* __restrict d) {
  const int64_t C = in->channels, plane = count * C;
  const T* grad = in->grad;
  for (int64_t i = 0; i < count; ++i) {
    const T kappa = factor_of(in->kappa, first + i);
    TMD_INDEPENDENT
    for (int64_t k = 0; k < C; ++k) {
      T a[kComponents], g[kComponents];
      take(static_cast<const T*>(d), plane, i * C + k, a);
      take(grad, in->plane, (first + i) * C + k, g);
      slope_of_change(a, kappa, g);
      put(g, plane, i * C + k, d);
    }
  }
}

// From the gradient by t / (|t|^2 + 1) to those by y and m.
template <class T, bool both>
TMD_INLINE void slope_of_product(const Update<T>* in, int64_t first, int64_t count, const T* __restrict t,
                                 const T* __restrict by_n, T* __restrict to_y, T* __restrict to_m) {
  const int64_t C = in->channels, plane = count * C;
  const T *y = in->y, *message = in->m;
  for (int64_t i = 0; i < count; ++i) {
    const T kappa = factor_of(in->kappa, first + i);
    TMD_INDEPENDENT
    for (int64_t k = 0; k < C; ++k) {
      const int64_t place = (first + i) * C + k;
      T product[kComponents], g[kComponents], a[kComponents], b[kComponents], of_y[kComponents], of_m[kComponents];
      take(t, plane, i * C + k, product);
      take(by_n, plane, i * C + k, g);
      take(y, in->plane, place, a);
      take(message, in->plane, place, b);
      slope_of_message<both>(product, g, a, b, kappa, of_y, of_m);
      put(of_y, in->plane, place, to_y);
      put(of_m, in->plane, place, to_m);
    }
  }
}

template <class T, bool both>
void forward_cpu(const Update<T>& in, int64_t num_atoms, const T* const (&weights)[kParts], T* out) {
  thread_local std::vector<T> room;
  const PartMaps<T> maps = pack_maps(weights, in.channels, Map::kForward, room);
  for_blocks<T>(num_atoms, in.channels, [&](int64_t first, int64_t count) {
    const int64_t plane = count * in.channels;
    T *n = block_room<T>(2, in.channels), *d = n + kComponents * plane;
    run<product_rows<T, both>>(&in, first, count, static_cast<T*>(nullptr), n);
    apply_maps<T>(maps, n, plane, count, d, plane);
    run<finish_rows<T>>(&in, first, count, static_cast<const T*>(d), out);
  });
}

template <class T, bool both>
void backward_cpu(const Update<T>& in, int64_t num_atoms, const T* const (&weights)[kParts], T* to_y, T* to_m) {
  thread_local std::vector<T> room, other_room;
  const PartMaps<T> maps = pack_maps(weights, in.channels, Map::kForward, room);
  const PartMaps<T> back = pack_maps(weights, in.channels, Map::kTranspose, other_room);
  for_blocks<T>(num_atoms, in.channels, [&](int64_t first, int64_t count) {
    const int64_t plane = count * in.channels;
    T *t = block_room<T>(3, in.channels), *n = t + kComponents * plane, *d = n + kComponents * plane;
    run<product_rows<T, both>>(&in, first, count, t, n);
    apply_maps<T>(maps, n, plane, count, d, plane);
    run<slope_of_square<T>>(&in, first, count, d);
    apply_maps<T>(back, d, plane, count, n, plane);
    run<slope_of_product<T, both>>(&in, first, count, static_cast<const T*>(t), static_cast<const T*>(n), to_y, to_m);
  });
}

}  // namespace

// tensor_update(x, y, message, kappa, trace_map, skew_map, symmetric_map, both) -> (9, N, C)
void tensor_update(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), y(stack[1]), message(stack[2]), kappa(stack[3]), w0(stack[4]), w1(stack[5]), w2(stack[6]);
  const bool both = argument<bool>(stack[7]);
  const int64_t plane = check_tensors({&x, &y, &message});
  check_maps(x, {&w0, &w1, &w2});
  check_kappa(kappa, x);
  Tensor out = x.empty_like({kComponents, x.size(1), x.size(2)});
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const Update<T> in{x.data<T>(), y.data<T>(), message.data<T>(), numbers_of_kappa<T>(kappa), nullptr, plane, x.size(2)};
    const T* const weights[kParts] = {w0.data<T>(), w1.data<T>(), w2.data<T>()};
    T* to = out.mutable_data<T>();
    ask_huge_pages(to, kComponents * plane * sizeof(T));
    if (both) forward_cpu<T, true>(in, x.size(1), weights, to);
    else forward_cpu<T, false>(in, x.size(1), weights, to);
  });
  stack[0] = out.release();
}

// tensor_update_backward(grad, y, message, kappa, trace_map, skew_map, symmetric_map, both) -> (9, N, C), (9, N, C)
void tensor_update_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), y(stack[1]), message(stack[2]), kappa(stack[3]), w0(stack[4]), w1(stack[5]), w2(stack[6]);
  const bool both = argument<bool>(stack[7]);
  const int64_t plane = check_tensors({&grad, &y, &message});
  check_maps(y, {&w0, &w1, &w2});
  check_kappa(kappa, y);
  Tensor to_y = y.empty_like({kComponents, y.size(1), y.size(2)}), to_m = y.empty_like({kComponents, y.size(1), y.size(2)});
  for_type(y, [&](auto type) {
    using T = decltype(type);
    const Update<T> in{nullptr, y.data<T>(), message.data<T>(), numbers_of_kappa<T>(kappa), grad.data<T>(), plane, y.size(2)};
    const T* const weights[kParts] = {w0.data<T>(), w1.data<T>(), w2.data<T>()};
    T *of_y = to_y.mutable_data<T>(), *of_m = to_m.mutable_data<T>();
    for (T* out : {of_y, of_m}) ask_huge_pages(out, kComponents * plane * sizeof(T));
    if (both) backward_cpu<T, true>(in, y.size(1), weights, of_y, of_m);
    else backward_cpu<T, false>(in, y.size(1), weights, of_y, of_m);
  });
  stack[0] = to_y.release();
  stack[1] = to_m.release();
}

}  // namespace torchmdnet
