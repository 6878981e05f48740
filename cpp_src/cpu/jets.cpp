// Element-wise steps of radial functions that carry their slope (see torchmdnet/ops/silu.py and faded_slope.py).
//
// Arrays (P, C) and columns (P, 1), contiguous; one pass each. Threads divide the rows, or the elements.
#include "../jets.h"
#include "../lanes.h"
#include "../torch_abi.h"

namespace torchmdnet {
namespace {

constexpr int64_t kGrain = 1 << 14;  // numbers worth a thread

template <class T>
TMD_INLINE void silu_range(const T* __restrict x, const T* __restrict sigma, const T* __restrict slope, int64_t begin,
                           int64_t end, T* __restrict value, T* __restrict out_slope) {
  for (int64_t k = begin; k < end; ++k) silu_at(x[k], sigma[k], slope[k], value[k], out_slope[k]);
}

template <class T>
TMD_INLINE void silu_backward_range(const T* __restrict grad, const T* __restrict grad_slope, const T* __restrict x,
                                    const T* __restrict sigma, const T* __restrict slope, int64_t begin, int64_t end,
                                    T* __restrict to_x, T* __restrict to_slope) {
  for (int64_t k = begin; k < end; ++k)
    silu_backward_at(grad[k], grad_slope[k], x[k], sigma[k], slope[k], to_x[k], to_slope[k]);
}

// Sum over a row of g (f' c + f c').
template <class T>
TMD_INLINE void fade_rows(const T* __restrict g, const T* __restrict f, const T* __restrict f_slope,
                          const T* __restrict c, const T* __restrict c_slope, int64_t channels, int64_t begin,
                          int64_t end, T* __restrict out) {
  constexpr int W = 16;  // partial sums: a fixed order that the compiler can turn to lanes
  for (int64_t p = begin; p < end; ++p) {
    const T *gp = g + p * channels, *fp = f + p * channels, *sp = f_slope + p * channels;
    T sum[W] = {};
    int64_t k = 0;
    for (; k + W <= channels; k += W)
      for (int w = 0; w < W; ++w) sum[w] += gp[k + w] * product_slope(fp[k + w], sp[k + w], c[p], c_slope[p]);
    for (int w = 0; k < channels; ++k, ++w) sum[w] += gp[k] * product_slope(fp[k], sp[k], c[p], c_slope[p]);
    T total = 0;
    for (int w = 0; w < W; ++w) total += sum[w];
    out[p] = total;
  }
}

template <class T>
TMD_INLINE void fade_backward_rows(const T* __restrict h, const T* __restrict g, const T* __restrict f,
                                   const T* __restrict f_slope, const T* __restrict c, const T* __restrict c_slope,
                                   int64_t channels, int64_t begin, int64_t end, T* __restrict to_g,
                                   T* __restrict to_f, T* __restrict to_slope) {
  for (int64_t p = begin; p < end; ++p) {
    const T a = h[p] * c[p], b = h[p] * c_slope[p];
    for (int64_t k = p * channels; k < (p + 1) * channels; ++k) {
      to_g[k] = product_slope(f[k], f_slope[k], a, b);
      to_f[k] = b * g[k];
      to_slope[k] = a * g[k];
    }
  }
}

Tensor empty_like(const Tensor& x) { return x.empty_like({x.size(0), x.size(1)}); }

int64_t rows_per_task(int64_t channels) { return kGrain / (channels + 1) + 1; }

}  // namespace

// silu_jet(x, sigma, slope) -> s(x), s'(x) slope
void silu_jet(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), sigma(stack[1]), slope(stack[2]);
  check_rows({&x, &sigma, &slope}, {});
  Tensor value = empty_like(x), out_slope = empty_like(x);
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T *a = x.data<T>(), *b = sigma.data<T>(), *c = slope.data<T>();
    T *to = value.mutable_data<T>(), *to_slope = out_slope.mutable_data<T>();
    parallel_for(x.size(0) * x.size(1), kGrain,
                 [&](int64_t begin, int64_t end) { run<silu_range<T>>(a, b, c, begin, end, to, to_slope); });
  });
  stack[0] = value.release();
  stack[1] = out_slope.release();
}

// silu_jet_backward(grad, grad_slope, x, sigma, slope) -> gradients by x and slope
void silu_jet_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), grad_slope(stack[1]), x(stack[2]), sigma(stack[3]), slope(stack[4]);
  check_rows({&grad, &grad_slope, &x, &sigma, &slope}, {});
  Tensor to_x = empty_like(x), to_slope = empty_like(x);
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T *g = grad.data<T>(), *gs = grad_slope.data<T>(), *a = x.data<T>(), *b = sigma.data<T>(),
            *c = slope.data<T>();
    T *out = to_x.mutable_data<T>(), *out_slope = to_slope.mutable_data<T>();
    parallel_for(x.size(0) * x.size(1), kGrain,
                 [&](int64_t begin, int64_t end) {
                   run<silu_backward_range<T>>(g, gs, a, b, c, begin, end, out, out_slope);
                 });
  });
  stack[0] = to_x.release();
  stack[1] = to_slope.release();
}

// faded_slope(grad, f, f_slope, c, c_slope) -> (P,)
void faded_slope(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), f(stack[1]), f_slope(stack[2]), c(stack[3]), c_slope(stack[4]);
  check_rows({&grad, &f, &f_slope}, {&c, &c_slope});
  const int64_t channels = f.size(1);
  Tensor out = f.empty_like({f.size(0)});
  for_type(f, [&](auto type) {
    using T = decltype(type);
    const T *g = grad.data<T>(), *a = f.data<T>(), *b = f_slope.data<T>(), *d = c.data<T>(), *e = c_slope.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(f.size(0), rows_per_task(channels),
                 [&](int64_t begin, int64_t end) { run<fade_rows<T>>(g, a, b, d, e, channels, begin, end, to); });
  });
  stack[0] = out.release();
}

// faded_slope_backward(h, grad, f, f_slope, c, c_slope) -> gradients by grad, f and f_slope
void faded_slope_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor h(stack[0]), grad(stack[1]), f(stack[2]), f_slope(stack[3]), c(stack[4]), c_slope(stack[5]);
  check_rows({&grad, &f, &f_slope}, {&h, &c, &c_slope});
  const int64_t channels = f.size(1);
  Tensor to_grad = empty_like(f), to_f = empty_like(f), to_slope = empty_like(f);
  for_type(f, [&](auto type) {
    using T = decltype(type);
    const T *up = h.data<T>(), *g = grad.data<T>(), *a = f.data<T>(), *b = f_slope.data<T>(), *d = c.data<T>(),
            *e = c_slope.data<T>();
    T *out_g = to_grad.mutable_data<T>(), *out_f = to_f.mutable_data<T>(), *out_s = to_slope.mutable_data<T>();
    parallel_for(f.size(0), rows_per_task(channels), [&](int64_t begin, int64_t end) {
      run<fade_backward_rows<T>>(up, g, a, b, d, e, channels, begin, end, out_g, out_f, out_s);
    });
  });
  stack[0] = to_grad.release();
  stack[1] = to_f.release();
  stack[2] = to_slope.release();
}

}  // namespace torchmdnet
