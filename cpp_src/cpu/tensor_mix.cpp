// Normalised tensors with their parts mixed over channels, and parts mixed and scaled, in one pass (see
// torchmdnet/ops/tensor_mix.py and tensor_scale.py).
//
// x (9, N, C), maps W of the three parts, scales f (N, 3, C); r = 1 / (|x|^2 + 1) for every atom and channel
//   tensor_mix             n = r x, y = W n
//   tensor_mix_backward    of gradients by n and y: with g = by_n + W^T by_y, to_x = r g - 2 r^2 (g.x) x
//   tensor_scale           out = f (W x)
//   tensor_scale_backward  of grad: to_x = W^T (f grad), to_f = sum over a part's components of grad (W x)
//
// Blocks of atoms go through all steps while they are in the cache. Threads divide the atoms; each number is computed by
// one of them, the same for any division (part_maps.h).
#include "../part_input.h"
#include "../tensor_algebra.h"
#include "huge_pages.h"
#include "part_maps.h"

namespace torchmdnet {
namespace {

template <class T>
TMD_INLINE void normalize_block(const T* __restrict x, int64_t plane, int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t m = begin; m < end; ++m) normalize_column(x, plane, m, out);
}

// Columns [begin, begin + size); `mapped` is W^T by_y in a block of its own.
template <class T>
TMD_INLINE void slope_block(const T* __restrict x, const T* __restrict by_n, const T* __restrict mapped, int64_t plane,
                            int64_t begin, int64_t size, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t m = 0; m < size; ++m) {
    T own[kComponents], g[kComponents], more[kComponents], slope[kComponents];
    take(x, plane, begin + m, own);
    take(by_n, plane, begin + m, g);
    take(mapped, size, m, more);
    for (int c = 0; c < kComponents; ++c) g[c] += more[c];
    slope_column(own, g, 1, 0, slope);
    put(slope, plane, begin + m, out);
  }
}

// out = f x for `count` atoms from `first` on; each array has a plane and a first column of its own.
template <class T>
TMD_INLINE void scale_block(const T* x, int64_t x_plane, const T* f, int64_t C, int64_t count, T* out,
                            int64_t out_plane) {
  for (int c = 0; c < kComponents; ++c) {
    for (int64_t i = 0; i < count; ++i) {
      const T *from = x + c * x_plane + i * C, *by = f + (kParts * i + kPart[c]) * C;
      T* to = out + c * out_plane + i * C;
      TMD_INDEPENDENT
      for (int64_t k = 0; k < C; ++k) to[k] = by[k] * from[k];
    }
  }
}

// out = sum over a part's components of grad y.
template <class T>
TMD_INLINE void slope_of_scale(const T* grad, int64_t plane, const T* y, int64_t C, int64_t count, T* __restrict out) {
  for (int64_t i = 0; i < count; ++i) {
    TMD_INDEPENDENT
    for (int64_t k = 0; k < C; ++k) {
      T sum[kParts] = {};
      for (int c = 0; c < kComponents; ++c) sum[kPart[c]] += grad[c * plane + i * C + k] * y[(c * count + i) * C + k];
      for (int part = 0; part < kParts; ++part) out[(kParts * i + part) * C + k] = sum[part];
    }
  }
}

// Three maps as the ops take them.
template <class T>
struct Weights {
  const T* maps[kParts];
  Weights(const Tensor& w0, const Tensor& w1, const Tensor& w2) : maps{w0.data<T>(), w1.data<T>(), w2.data<T>()} {}
};

Tensor like(const Tensor& x) { return x.empty_like({kComponents, x.size(1), x.size(2)}); }

template <class T>
T* fresh(const Tensor& out, int64_t plane) {
  T* data = out.mutable_data<T>();
  ask_huge_pages(data, kComponents * plane * sizeof(T));
  return data;
}

}  // namespace

// tensor_mix(x, trace_map, skew_map, symmetric_map) -> (9, N, C), (9, N, C)
void tensor_mix(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), w0(stack[1]), w1(stack[2]), w2(stack[3]);
  const int64_t plane = check_tensors({&x}), C = x.size(2);
  check_maps(x, {&w0, &w1, &w2});
  Tensor normal = like(x), mixed = like(x);
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T* from = x.data<T>();
    T *n = fresh<T>(normal, plane), *y = fresh<T>(mixed, plane);
    thread_local std::vector<T> room;
    const PartMaps<T> maps = pack_maps(Weights<T>(w0, w1, w2).maps, C, Map::kForward, room);
    for_blocks<T>(x.size(1), C, [&](int64_t first, int64_t count) {
      run<normalize_block<T>>(from, plane, first * C, (first + count) * C, n);
      apply_maps<T>(maps, n + first * C, plane, count, y + first * C, plane);
    });
  });
  stack[0] = normal.release();
  stack[1] = mixed.release();
}

// tensor_mix_backward(by_normal, by_mixed, x, trace_map, skew_map, symmetric_map) -> (9, N, C)
void tensor_mix_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor by_normal(stack[0]), by_mixed(stack[1]), x(stack[2]), w0(stack[3]), w1(stack[4]), w2(stack[5]);
  const int64_t plane = check_tensors({&x, &by_normal, &by_mixed}), C = x.size(2);
  check_maps(x, {&w0, &w1, &w2});
  Tensor to_x = like(x);
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T *from = x.data<T>(), *by_n = by_normal.data<T>(), *by_y = by_mixed.data<T>();
    T* to = fresh<T>(to_x, plane);
    thread_local std::vector<T> room;
    const PartMaps<T> maps = pack_maps(Weights<T>(w0, w1, w2).maps, C, Map::kTranspose, room);
    for_blocks<T>(x.size(1), C, [&](int64_t first, int64_t count) {
      T* mapped = block_room<T>(1, C);
      apply_maps<T>(maps, by_y + first * C, plane, count, mapped, count * C);
      run<slope_block<T>>(from, by_n, static_cast<const T*>(mapped), plane, first * C, count * C, to);
    });
  });
  stack[0] = to_x.release();
}

// tensor_scale(x, scales, trace_map, skew_map, symmetric_map) -> (9, N, C)
void tensor_scale(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), scales(stack[1]), w0(stack[2]), w1(stack[3]), w2(stack[4]);
  const int64_t plane = check_tensors({&x}), C = x.size(2);
  check_maps(x, {&w0, &w1, &w2});
  check_scales(scales, x);
  Tensor out = like(x);
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T *from = x.data<T>(), *f = scales.data<T>();
    T* to = fresh<T>(out, plane);
    thread_local std::vector<T> room;
    const PartMaps<T> maps = pack_maps(Weights<T>(w0, w1, w2).maps, C, Map::kForward, room);
    for_blocks<T>(x.size(1), C, [&](int64_t first, int64_t count) {
      T* own = to + first * C;
      apply_maps<T>(maps, from + first * C, plane, count, own, plane);
      run<scale_block<T>>(static_cast<const T*>(own), plane, f + kParts * first * C, C, count, own, plane);
    });
  });
  stack[0] = out.release();
}

// tensor_scale_backward(grad, x, scales, trace_map, skew_map, symmetric_map) -> (9, N, C), (N, 3, C)
void tensor_scale_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), x(stack[1]), scales(stack[2]), w0(stack[3]), w1(stack[4]), w2(stack[5]);
  const int64_t plane = check_tensors({&x, &grad}), C = x.size(2);
  check_maps(x, {&w0, &w1, &w2});
  check_scales(scales, x);
  Tensor to_x = like(x), to_scales = x.empty_like({x.size(1), kParts, C});
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T *from = x.data<T>(), *f = scales.data<T>(), *g = grad.data<T>();
    T *of_x = fresh<T>(to_x, plane), *of_f = to_scales.mutable_data<T>();
    thread_local std::vector<T> room, other_room;
    const Weights<T> weights(w0, w1, w2);
    const PartMaps<T> maps = pack_maps(weights.maps, C, Map::kForward, room);
    const PartMaps<T> back = pack_maps(weights.maps, C, Map::kTranspose, other_room);
    for_blocks<T>(x.size(1), C, [&](int64_t first, int64_t count) {
      T* block = block_room<T>(1, C);
      const int64_t at = first * C, scale_at = kParts * first * C;
      apply_maps<T>(maps, from + at, plane, count, block, count * C);
      run<slope_of_scale<T>>(g + at, plane, static_cast<const T*>(block), C, count, of_f + scale_at);
      run<scale_block<T>>(g + at, plane, f + scale_at, C, count, block, count * C);
      apply_maps<T>(back, block, count * C, count, of_x + at, plane);
    });
  });
  stack[0] = to_x.release();
  stack[1] = to_scales.release();
}

}  // namespace torchmdnet
