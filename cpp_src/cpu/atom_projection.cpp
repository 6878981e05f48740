// Queries, keys and values of atoms from their normalised features, and the derivative (see
// torchmdnet/ops/atom_projection.py).
//
// N atoms, C channels, all arrays contiguous. With y = (x - mean) / sqrt(variance + eps) * scale + shift, over channels:
//   atom_projection           [query, key, value] (N, C), (N, C), (N, 3 C) = y map + bias, map (C, 5 C)
//   atom_projection_backward  of gradients by the three: by x (N, C); the transposed map is (5 C, C)
// Blocks of atoms go from x to the results in the cache. Atoms do not meet: the same bits for any number of threads.
#include <cmath>
#include <vector>

#include "../atom_input.h"
#include "../lanes.h"
#include "row_products.h"
#include "table_columns.h"

namespace torchmdnet {
namespace {

constexpr int kOutputs = 3;
constexpr int kWidths[kOutputs] = {1, 1, 3};  // of query, key and value, in channels

template <class T>
struct ProjectionInput {
  const T *x, *scale, *shift;
  int64_t channels;
  T eps;
};

// Sum of a term of each channel: term(c, lanes) sets that of as many channels as there are lanes.
template <class T, class Term>
TMD_INLINE T channel_sum(int64_t C, const Term& term) {
  constexpr int W = 64 / sizeof(T);
  Lanes<T, W> wide, sum = {};
  Lanes<T, 1> single, rest = {};
  int64_t c = 0;
  for (; c + W <= C; c += W) {
    term(c, wide);
    sum.v += wide.v;
  }
  for (; c < C; ++c) {
    term(c, single);
    rest.v += single.v;
  }
  return sum.sum() + rest.v;
}

// Rows of x with mean 0 and variance 1; and the factors of the rows.
template <class T>
TMD_INLINE void standardize(const T* x, int64_t rows, int64_t C, T eps, T* to, T* factors) {
  for (int64_t i = 0; i < rows; ++i, x += C, to += C) {
    const T mean = channel_sum<T>(C, [&](int64_t c, auto& lanes) TMD_BODY { lanes.load(x + c); }) / T(C);
    const T variance = channel_sum<T>(C, [&](int64_t c, auto& lanes) TMD_BODY {
      lanes.load(x + c);
      lanes.v -= mean;
      lanes.v *= lanes.v;
    }) / T(C);
    factors[i] = T(1) / std::sqrt(variance + eps);
    for (int64_t c = 0; c < C; ++c) to[c] = (x[c] - mean) * factors[i];
  }
}

template <class T>
TMD_INLINE void normalize(const ProjectionInput<T>& in, int64_t begin, int64_t rows, T* to, T* factors) {
  const int64_t C = in.channels;
  standardize(in.x + begin * C, rows, C, in.eps, to, factors);
  for (int64_t i = 0; i < rows; ++i, to += C)
    for (int64_t c = 0; c < C; ++c) to[c] = to[c] * in.scale[c] + in.shift[c];
}

// From gradients by the normalised rows to those by x.
template <class T>
TMD_INLINE void normalize_backward(const ProjectionInput<T>& in, int64_t begin, int64_t rows, const T* grad, T* space,
                                   T* factors, T* to) {
  const int64_t C = in.channels;
  standardize(in.x + begin * C, rows, C, in.eps, space, factors);
  for (int64_t i = 0; i < rows; ++i, grad += C, space += C) {
    T* result = to + (begin + i) * C;
    const T mean = channel_sum<T>(C, [&](int64_t c, auto& lanes) TMD_BODY {
      auto scale = lanes;
      lanes.load(grad + c);
      scale.load(in.scale + c);
      lanes.v *= scale.v;
    }) / T(C);
    const T along = channel_sum<T>(C, [&](int64_t c, auto& lanes) TMD_BODY {
      auto other = lanes;
      lanes.load(grad + c);
      other.load(in.scale + c);
      lanes.v *= other.v;
      other.load(space + c);
      lanes.v *= other.v;
    }) / T(C);
    for (int64_t c = 0; c < C; ++c) result[c] = (grad[c] * in.scale[c] - mean - space[c] * along) * factors[i];
  }
}

template <class T>
void projection_cpu(const ProjectionInput<T>& in, int64_t num_atoms, const T* map, const T* bias, T* const* to) {
  const int64_t C = in.channels;
  parallel_blocks<Scratch<T>>(num_atoms, kRowsAtOnce * (C + 1), [&](int64_t begin, int64_t end, Scratch<T>& space) {
    T *factors = space.data(), *y = factors + kRowsAtOnce;
    run<normalize<T>>(in, begin, end - begin, y, factors);
    for (int64_t n = 0, first = 0; n < kOutputs; first += kWidths[n++] * C) {
      const int64_t columns = kWidths[n] * C;
      product({y, C}, {map + first, 5 * C}, {end - begin, C, columns}, {bias + first, 0},
              {to[n] + begin * columns, columns});
    }
  });
}

template <class T>
void backward_cpu(const ProjectionInput<T>& in, int64_t num_atoms, const T* transposed, const T* const* grads, T* to) {
  const int64_t C = in.channels;
  const std::vector<T> zeros(C);
  parallel_blocks<Scratch<T>>(num_atoms, kRowsAtOnce * (2 * C + 1), [&](int64_t begin, int64_t end, Scratch<T>& space) {
    T *factors = space.data(), *grad = factors + kRowsAtOnce, *standard = grad + kRowsAtOnce * C;
    Rows<const T> start{zeros.data(), 0};
    for (int64_t n = 0, first = 0; n < kOutputs; first += kWidths[n++] * C) {
      const int64_t depth = kWidths[n] * C;
      product({grads[n] + begin * depth, depth}, {transposed + first * C, C}, {end - begin, depth, C}, start, {grad, C});
      start = {grad, C};
    }
    run<normalize_backward<T>>(in, begin, end - begin, static_cast<const T*>(grad), standard, factors, to);
  });
}

template <class T>
ProjectionInput<T> projection_input(const Tensor& x, const Tensor& scale, const Tensor& shift, double eps) {
  return {x.data<T>(), scale.data<T>(), shift.data<T>(), x.size(1), static_cast<T>(eps)};
}

}  // namespace

// atom_projection(x, scale, shift, map, transposed, bias, eps) -> (N, C), (N, C), (N, 3 C)
void atom_projection(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), scale(stack[1]), shift(stack[2]), map(stack[3]), transposed(stack[4]), bias(stack[5]);
  const double eps = argument<double>(stack[6]);
  check_projection({&x, &scale, &shift, &map, &transposed, &bias}, x, scale, shift, map, transposed, bias);
  const int64_t N = x.size(0), C = x.size(1);
  Tensor query = x.empty_like({N, C}), key = x.empty_like({N, C}), value = x.empty_like({N, 3 * C});
  for_type(x, [&](auto type) {
    using T = decltype(type);
    T* const to[] = {query.mutable_data<T>(), key.mutable_data<T>(), value.mutable_data<T>()};
    projection_cpu(projection_input<T>(x, scale, shift, eps), N, map.data<T>(), bias.data<T>(), to);
  });
  stack[0] = query.release();
  stack[1] = key.release();
  stack[2] = value.release();
}

// atom_projection_backward(grad_query, grad_key, grad_value, x, scale, shift, map, transposed, bias, eps) -> (N, C)
void atom_projection_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad_query(stack[0]), grad_key(stack[1]), grad_value(stack[2]), x(stack[3]), scale(stack[4]),
      shift(stack[5]), map(stack[6]), transposed(stack[7]), bias(stack[8]);
  const double eps = argument<double>(stack[9]);
  check_projection({&x, &scale, &shift, &map, &transposed, &bias, &grad_query, &grad_key, &grad_value}, x, scale, shift, map,
              transposed, bias);
  const int64_t N = x.size(0), C = x.size(1);
  check_projection_gradients(grad_query, grad_key, grad_value, x);
  Tensor to = x.empty_like({N, C});
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T* const grads[] = {grad_query.data<T>(), grad_key.data<T>(), grad_value.data<T>()};
    backward_cpu(projection_input<T>(x, scale, shift, eps), N, transposed.data<T>(), grads, to.mutable_data<T>());
  });
  stack[0] = to.release();
}

}  // namespace torchmdnet
