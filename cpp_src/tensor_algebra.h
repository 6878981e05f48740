// Products and normalisation of one 3x3 tensor given by nine components: what the CPU and the CUDA code share.
//
// Component c of tensor m is x[c * plane + m], of arrays (9, M) as of nine numbers side by side (plane 1, m 0).
#pragma once
#include <cstdint>

#include "edges.h"
#include "shared.h"

namespace torchmdnet {

// Matrix entries of one tensor: trace, antisymmetric (cross product), and xy, yz, xz, xx - yy, 2zz - xx - yy.
template <class T>
TMD_SHARED_INLINE void load_matrix(const T* x, int64_t plane, int64_t m, T sign, T out[3][3]) {
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
TMD_SHARED_INLINE void store_components(const T t[3][3], int64_t plane, int64_t m, T* out) {
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

// A B, with `both` A B + B A; a sign of -1 transposes.
template <bool both, class T>
TMD_SHARED_INLINE void product_column(const T* a, const T* b, T sign_a, T sign_b, int64_t plane, int64_t m, T* out) {
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

template <class T>
TMD_SHARED_INLINE T inner(const T* a, const T* b, int64_t plane, int64_t m) {
  T sum = a[m] * b[m];
  for (int c = 1; c < kComponents; ++c) sum += a[c * plane + m] * b[c * plane + m];
  return sum;
}

// r x, r = 1 / (x.x + 1)
template <class T>
TMD_SHARED_INLINE void normalize_column(const T* x, int64_t plane, int64_t m, T* out) {
  const T r = T(1) / (inner(x, x, plane, m) + T(1));
  for (int c = 0; c < kComponents; ++c) out[c * plane + m] = r * x[c * plane + m];
}

// r g - 2 r^2 (g.x) x
template <class T>
TMD_SHARED_INLINE void slope_column(const T* x, const T* g, int64_t plane, int64_t m, T* out) {
  const T r = T(1) / (inner(x, x, plane, m) + T(1));
  const T along = -2 * r * r * inner(g, x, plane, m);
  for (int c = 0; c < kComponents; ++c) out[c * plane + m] = r * g[c * plane + m] + along * x[c * plane + m];
}

// The derivative of h.(r g - 2 r^2 (g.x) x) by x.
template <class T>
TMD_SHARED_INLINE void curvature_column(const T* x, const T* g, const T* h, int64_t plane, int64_t m, T* out) {
  const T r = T(1) / (inner(x, x, plane, m) + T(1));
  const T gx = inner(g, x, plane, m), hx = inner(h, x, plane, m), hg = inner(h, g, plane, m);
  const T of_x = 8 * r * r * r * gx * hx - 2 * r * r * hg, of_g = -2 * r * r * hx, of_h = -2 * r * r * gx;
  for (int c = 0; c < kComponents; ++c)
    out[c * plane + m] = of_x * x[c * plane + m] + of_g * g[c * plane + m] + of_h * h[c * plane + m];
}

}  // namespace torchmdnet
