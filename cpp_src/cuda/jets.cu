// Element-wise steps of radial functions that carry their slope; see cpu/jets.cpp.
//
// Each op is one launch on the current stream, without synchronisation; deterministic. Arrays are read and written
// once, side by side, in pieces of 16 bytes a thread where their length, or that of a row, is a multiple of as many:
// bound by memory.
#include "jets.cuh"

#include "torch_cuda.h"

namespace torchmdnet {
namespace {

Tensor empty_rows_like(const Tensor& x) { return x.empty_like({x.size(0), x.size(1)}); }

template <class T>
Fade<T> make_fade(const Tensor& grad, const Tensor& f, const Tensor& f_slope, const Tensor& c, const Tensor& c_slope) {
  return {grad.data<T>(), f.data<T>(), f_slope.data<T>(), c.data<T>(), c_slope.data<T>(), f.size(0), f.size(1)};
}

}  // namespace

// silu_jet(x, sigma, slope) -> s(x), s'(x) slope
//
// A thread for one to four numbers. Reads 3 and writes 2 arrays.
void silu_jet_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), sigma(stack[1]), slope(stack[2]);
  check_rows({&x, &sigma, &slope}, {});
  const OnDevice device({&x, &sigma, &slope});
  Tensor value = empty_rows_like(x), out_slope = empty_rows_like(x);
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    const SiluJet<T> d{x.data<T>(),
                       sigma.data<T>(),
                       slope.data<T>(),
                       value.mutable_data<T>(),
                       out_slope.mutable_data<T>(),
                       x.size(0) * x.size(1)};
    for_packs<T>(d.count, {d.x, d.sigma, d.slope, d.value, d.out_slope}, [&](auto width) {
      constexpr int V = width.value;
      TMD_LAUNCH((silu_jet_kernel<V, T>), blocks_for(d.count / V, kBlock), kBlock, device.stream(), d);
    });
  });
  stack[0] = value.release();
  stack[1] = out_slope.release();
}

// silu_jet_backward(grad, grad_slope, x, sigma, slope) -> gradients by x and slope
//
// A thread for one to four numbers. Reads 5 and writes 2 arrays.
void silu_jet_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), grad_slope(stack[1]), x(stack[2]), sigma(stack[3]), slope(stack[4]);
  check_rows({&grad, &grad_slope, &x, &sigma, &slope}, {});
  const OnDevice device({&grad, &grad_slope, &x, &sigma, &slope});
  Tensor to_x = empty_rows_like(x), to_slope = empty_rows_like(x);
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    const SiluJetBackward<T> d{grad.data<T>(),
                               grad_slope.data<T>(),
                               x.data<T>(),
                               sigma.data<T>(),
                               slope.data<T>(),
                               to_x.mutable_data<T>(),
                               to_slope.mutable_data<T>(),
                               x.size(0) * x.size(1)};
    for_packs<T>(d.count, {d.grad, d.grad_slope, d.x, d.sigma, d.slope, d.to_x, d.to_slope}, [&](auto width) {
      constexpr int V = width.value;
      TMD_LAUNCH((silu_jet_backward_kernel<V, T>), blocks_for(d.count / V, kBlock), kBlock, device.stream(), d);
    });
  });
  stack[0] = to_x.release();
  stack[1] = to_slope.release();
}

// faded_slope(grad, f, f_slope, c, c_slope) -> (P,)
//
// A warp a row. Reads 3 arrays and 2 columns, writes a column.
void faded_slope_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), f(stack[1]), f_slope(stack[2]), c(stack[3]), c_slope(stack[4]);
  check_rows({&grad, &f, &f_slope}, {&c, &c_slope});
  const OnDevice device({&f, &grad, &f_slope, &c, &c_slope});
  Tensor out = f.empty_like({f.size(0)});
  for_type(f, [&](auto zero) {
    using T = decltype(zero);
    const Fade<T> d = make_fade<T>(grad, f, f_slope, c, c_slope);
    for_packs<T>(d.channels, {d.grad, d.f, d.f_slope}, [&](auto width) {
      constexpr int V = width.value;
      TMD_LAUNCH((faded_slope_kernel<V, T>), blocks_for(d.num_rows * kWarp, kBlock), kBlock, device.stream(), d,
                 out.mutable_data<T>());
    });
  });
  stack[0] = out.release();
}

// faded_slope_backward(h, grad, f, f_slope, c, c_slope) -> gradients by grad, f and f_slope
//
// A warp for up to 128 numbers of a row. Reads 3 arrays and 3 columns, writes 3 arrays.
void faded_slope_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor h(stack[0]), grad(stack[1]), f(stack[2]), f_slope(stack[3]), c(stack[4]), c_slope(stack[5]);
  check_rows({&grad, &f, &f_slope}, {&h, &c, &c_slope});
  const OnDevice device({&f, &h, &grad, &f_slope, &c, &c_slope});
  Tensor to_grad = empty_rows_like(f), to_f = empty_rows_like(f), to_slope = empty_rows_like(f);
  for_type(f, [&](auto zero) {
    using T = decltype(zero);
    const Fade<T> d = make_fade<T>(grad, f, f_slope, c, c_slope);
    T *of_grad = to_grad.mutable_data<T>(), *of_f = to_f.mutable_data<T>(), *of_slope = to_slope.mutable_data<T>();
    for_packs<T>(d.channels, {d.grad, d.f, d.f_slope, of_grad, of_f, of_slope}, [&](auto width) {
      constexpr int V = width.value;
      const int64_t threads = d.num_rows * num_chunks(d.channels, V) * kWarp;
      TMD_LAUNCH((faded_slope_backward_kernel<V, T>), blocks_for(threads, kBlock), kBlock, device.stream(), d,
                 h.data<T>(), of_grad, of_f, of_slope);
    });
  });
  stack[0] = to_grad.release();
  stack[1] = to_f.release();
  stack[2] = to_slope.release();
}

}  // namespace torchmdnet
