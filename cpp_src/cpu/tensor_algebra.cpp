// Products and normalisation of 3x3 tensors given by nine components (see torchmdnet/ops/tensor_algebra.py).
//
// Arrays are (9, M) and contiguous, M atoms x channels; every column m is one tensor, independent of the others. One
// pass each: a product reads 18 M and writes 9 M numbers, normalisation reads 9, 18 or 27 M and writes 9 M. Threads
// divide M.
#include "../lanes.h"
#include "../torch_abi.h"

namespace torchmdnet {
namespace {

constexpr int kComponents = 9;
constexpr int64_t kGrain = 1 << 12;  // columns worth a thread

// Matrix entries of one tensor: trace, antisymmetric (cross product), and xy, yz, xz, xx - yy, 2zz - xx - yy.
template <class T>
TMD_INLINE void load_matrix(const T* x, int64_t plane, int64_t m, T sign, T out[3][3]) {
  const T s2 = T(0.70710678118654752440), s3 = T(0.57735026918962576451), s6 = T(0.40824829046386301637);
  const T trace = x[m] * s3, ax = sign * s2 * x[plane + m], ay = sign * s2 * x[2 * plane + m],
          az = sign * s2 * x[3 * plane + m], xy = s2 * x[4 * plane + m], yz = s2 * x[5 * plane + m],
          xz = s2 * x[6 * plane + m], difference = s2 * x[7 * plane + m], last = s6 * x[8 * plane + m];
  out[0][0] = trace + difference - last;
  out[1][1] = trace - difference - last;
  out[2][2] = trace + 2 * last;
  out[0][1] = xy - az;
  out[1][0] = xy + az;
  out[1][2] = yz - ax;
  out[2][1] = yz + ax;
  out[0][2] = xz + ay;
  out[2][0] = xz - ay;
}

template <class T>
TMD_INLINE void store_components(const T t[3][3], int64_t plane, int64_t m, T* out) {
  const T s2 = T(0.70710678118654752440), s3 = T(0.57735026918962576451), s6 = T(0.40824829046386301637);
  out[m] = s3 * (t[0][0] + t[1][1] + t[2][2]);
  out[plane + m] = s2 * (t[2][1] - t[1][2]);
  out[2 * plane + m] = s2 * (t[0][2] - t[2][0]);
  out[3 * plane + m] = s2 * (t[1][0] - t[0][1]);
  out[4 * plane + m] = s2 * (t[0][1] + t[1][0]);
  out[5 * plane + m] = s2 * (t[1][2] + t[2][1]);
  out[6 * plane + m] = s2 * (t[0][2] + t[2][0]);
  out[7 * plane + m] = s2 * (t[0][0] - t[1][1]);
  out[8 * plane + m] = s6 * (2 * t[2][2] - t[0][0] - t[1][1]);
}

template <class T, bool both>
TMD_INLINE void product_columns(const T* __restrict a, const T* __restrict b, T sign_a, T sign_b, int64_t plane,
                                int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t m = begin; m < end; ++m) {
    T left[3][3], right[3][3], t[3][3];
    load_matrix(a, plane, m, sign_a, left);
    load_matrix(b, plane, m, sign_b, right);
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) {
        t[i][j] = left[i][0] * right[0][j] + left[i][1] * right[1][j] + left[i][2] * right[2][j];
        if (both) t[i][j] += right[i][0] * left[0][j] + right[i][1] * left[1][j] + right[i][2] * left[2][j];
      }
    store_components(t, plane, m, out);
  }
}

template <class T>
TMD_INLINE T inner(const T* a, const T* b, int64_t plane, int64_t m) {
  T sum = a[m] * b[m];
  for (int c = 1; c < kComponents; ++c) sum += a[c * plane + m] * b[c * plane + m];
  return sum;
}

template <class T>
TMD_INLINE void normalize_columns(const T* __restrict x, int64_t plane, int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t m = begin; m < end; ++m) {
    const T r = T(1) / (inner(x, x, plane, m) + T(1));
    for (int c = 0; c < kComponents; ++c) out[c * plane + m] = r * x[c * plane + m];
  }
}

// r g - 2 r^2 (g.x) x
template <class T>
TMD_INLINE void slope_columns(const T* __restrict x, const T* __restrict g, int64_t plane, int64_t begin, int64_t end,
                              T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t m = begin; m < end; ++m) {
    const T r = T(1) / (inner(x, x, plane, m) + T(1));
    const T along = -2 * r * r * inner(g, x, plane, m);
    for (int c = 0; c < kComponents; ++c) out[c * plane + m] = r * g[c * plane + m] + along * x[c * plane + m];
  }
}

// The derivative of h.(r g - 2 r^2 (g.x) x) by x.
template <class T>
TMD_INLINE void curvature_columns(const T* __restrict x, const T* __restrict g, const T* __restrict h, int64_t plane,
                                  int64_t begin, int64_t end, T* __restrict out) {
  TMD_INDEPENDENT
  for (int64_t m = begin; m < end; ++m) {
    const T r = T(1) / (inner(x, x, plane, m) + T(1));
    const T gx = inner(g, x, plane, m), hx = inner(h, x, plane, m), hg = inner(h, g, plane, m);
    const T of_x = 8 * r * r * r * gx * hx - 2 * r * r * hg, of_g = -2 * r * r * hx, of_h = -2 * r * r * gx;
    for (int c = 0; c < kComponents; ++c)
      out[c * plane + m] = of_x * x[c * plane + m] + of_g * g[c * plane + m] + of_h * h[c * plane + m];
  }
}

// Checks that all are (9, N, C), contiguous and of one type; returns N C.
int64_t check_tensors(std::initializer_list<const Tensor*> tensors) {
  const Tensor& first = **tensors.begin();
  require(first.dim() == 3 && first.size(0) == kComponents, "a tensor must have shape (9, N, C)");
  require_float(first, "a tensor must be float32 or float64");
  for (const Tensor* tensor : tensors)
    require(tensor->dim() == 3 && tensor->contiguous() && tensor->dtype() == first.dtype() &&
                tensor->size(0) == kComponents && tensor->size(1) == first.size(1) && tensor->size(2) == first.size(2),
            "tensors must be contiguous and of one shape and type");
  return first.size(1) * first.size(2);
}

Tensor empty_like(const Tensor& x) { return x.empty_like({kComponents, x.size(1), x.size(2)}); }

int64_t flag(StableIValue value) {
  int64_t number;
  std::memcpy(&number, &value, sizeof number);
  return number;
}

}  // namespace

// tensor_product(a, b, transpose_a, transpose_b, both): A B, with `both` A B + B A
void tensor_product(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor a(stack[0]), b(stack[1]);
  const int64_t transpose_a = flag(stack[2]), transpose_b = flag(stack[3]), both = flag(stack[4]);
  const int64_t columns = check_tensors({&a, &b});
  Tensor out = empty_like(a);
  for_type(a, [&](auto type) {
    using T = decltype(type);
    const T *left = a.data<T>(), *right = b.data<T>();
    T* to = out.mutable_data<T>();
    const T sign_a = transpose_a ? -1 : 1, sign_b = transpose_b ? -1 : 1;
    parallel_for(columns, kGrain, [&](int64_t begin, int64_t end) {
      if (both)
        run<product_columns<T, true>>(left, right, sign_a, sign_b, columns, begin, end, to);
      else
        run<product_columns<T, false>>(left, right, sign_a, sign_b, columns, begin, end, to);
    });
  });
  stack[0] = out.release();
}

void tensor_normalize(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]);
  const int64_t columns = check_tensors({&x});
  Tensor out = empty_like(x);
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T* from = x.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(columns, kGrain,
                 [&](int64_t begin, int64_t end) { run<normalize_columns<T>>(from, columns, begin, end, to); });
  });
  stack[0] = out.release();
}

void tensor_normalize_slope(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), grad(stack[1]);
  const int64_t columns = check_tensors({&x, &grad});
  Tensor out = empty_like(x);
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T *from = x.data<T>(), *g = grad.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(columns, kGrain,
                 [&](int64_t begin, int64_t end) { run<slope_columns<T>>(from, g, columns, begin, end, to); });
  });
  stack[0] = out.release();
}

void tensor_normalize_curvature(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), grad(stack[1]), other(stack[2]);
  const int64_t columns = check_tensors({&x, &grad, &other});
  Tensor out = empty_like(x);
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const T *from = x.data<T>(), *g = grad.data<T>(), *h = other.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(columns, kGrain,
                 [&](int64_t begin, int64_t end) { run<curvature_columns<T>>(from, g, h, columns, begin, end, to); });
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
