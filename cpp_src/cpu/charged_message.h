// What charged_message.cpp and its derivative share: the input, and the first layer of a block of edges.
//
// N atoms, E edges sorted by receiver, P pairs, C channels, layers of A, B and 3 C numbers. For an edge from j to i
//   a = R(t) + own_i + other_j,  p = W2 silu(a) + b2,  q = W3 silu(p) + b3,  w = F(t) silu(q)
// where R (A numbers) and F are polynomials of degree K - 1 that the pair has at its row: rows (M, K, A + 1).
#pragma once
#include <algorithm>
#include <vector>

#include "../edges.h"
#include "../lanes.h"
#include "../sigmoid.h"
#include "../torch_abi.h"
#include "row_products.h"
#include "table_columns.h"

namespace torchmdnet {

constexpr int64_t kEdgesAtOnce = 48;  // of a block: what they need in between stays in the second cache

// Maps as they are read along rows: those for the results, and those for the derivative.
template <class T>
struct ChargedMaps {
  const T *second, *second_transposed, *second_bias;  // (A, B), (B, A), (B,)
  const T *third, *third_transposed, *third_bias;     // (B, 3 C), (3 C, B), (3 C,)
};

template <class T>
struct ChargedInput {
  const T* rows;
  const int32_t* row;        // (P,)
  const T *t;                // (P,)
  const T *own, *other, *y;  // (N, A), (N, A), (9, N, C)
  ChargedMaps<T> maps;
  int64_t degrees, first, second, channels;  // K, A, B, C
  Edges edges;

  int64_t third() const { return kParts * channels; }
  int64_t plane() const { return edges.num_atoms * channels; }
  const T* coefficients(int32_t pair) const { return rows + row[pair] * degrees * (first + 1); }
  int64_t atoms_per_task() const {
    const int64_t work = second * (first + third()) * (edges.num_edges + edges.num_atoms) + 1;
    return edges.num_atoms * kGrainValues / work + 1;
  }
};

// One edge of a block.
template <class T>
struct ChargedEdge {
  int32_t number, receiver, sender, pair;
  T fade, fade_slope;
};

// W numbers of a polynomial and of its derivative, `at` the first coefficient; the next ones come `stride` later.
template <class T, int W>
TMD_INLINE void any_polynomial(const T* at, int64_t degrees, int64_t stride, T t, Lanes<T, W>& value,
                               Lanes<T, W>& slope) {
  Lanes<T, W> c;
  value.load(at + (degrees - 1) * stride);
  slope = Lanes<T, W>{};
  for (int64_t power = degrees - 2; power >= 0; --power) {
    c.load(at + power * stride);
    slope.v = slope.v * t + value.v;
    value.v = value.v * t + c.v;
  }
}

template <class T>
TMD_INLINE void set_fade(const ChargedInput<T>& in, ChargedEdge<T>& edge) {
  const int64_t stride = in.first + 1;
  Lanes<T, 1> value, slope;
  any_polynomial<T, 1>(in.coefficients(edge.pair) + in.first, in.degrees, stride, in.t[edge.pair], value, slope);
  edge.fade = value.v;
  edge.fade_slope = slope.v;
}

// The logistic function, also of a single number.
template <class T, int W>
TMD_INLINE Lanes<T, W> any_sigmoid(const Lanes<T, W>& x) {
  if constexpr (W > 1) {
    return sigmoid<T, W>(x);
  } else {
    T both[2] = {x.v, x.v};
    Lanes<T, 2> pair;
    pair.load(both);
    sigmoid<T, 2>(pair).store(both);
    return {both[0]};
  }
}

// silu(x) and its derivative.
template <class T, int W>
TMD_INLINE void silu(const Lanes<T, W>& x, Lanes<T, W>& value, Lanes<T, W>& slope) {
  const Lanes<T, W> sigma = any_sigmoid<T, W>(x);
  value.v = x.v * sigma.v;
  slope.v = sigma.v + value.v * (T(1) - sigma.v);
}

// silu(a) of a block, and where they are asked for its derivative by a and that of R by t, a row of A numbers an edge.
template <class T>
TMD_INLINE void first_layer(const ChargedInput<T>& in, const ChargedEdge<T>* edges, int64_t count, T* active, T* slope,
                            T* by_t) {
  const int64_t A = in.first;
  for (int64_t n = 0; n < count; ++n) {
    const ChargedEdge<T>& edge = edges[n];
    const T *at = in.coefficients(edge.pair), t = in.t[edge.pair];
    const T *own = in.own + edge.receiver * A, *other = in.other + edge.sender * A;
    for_lanes<T>(0, A, [&](auto width, int64_t c) TMD_BODY {
      constexpr int W = decltype(width)::value;
      Lanes<T, W> a, da, more, value, derivative;
      any_polynomial<T, W>(at + c, in.degrees, A + 1, t, a, da);
      more.load(own + c);
      a.v += more.v;
      more.load(other + c);
      a.v += more.v;
      silu<T, W>(a, value, derivative);
      value.store(active + n * A + c);
      if (slope) {
        derivative.store(slope + n * A + c);
        da.store(by_t + n * A + c);
      }
    });
  }
}

// The same for layers that are there: numbers become silu of them, and `slope` its derivative.
template <class T>
TMD_INLINE void activate(T* numbers, int64_t count, T* slope) {
  for_lanes<T>(0, count, [&](auto width, int64_t k) TMD_BODY {
    constexpr int W = decltype(width)::value;
    Lanes<T, W> x, value, derivative;
    x.load(numbers + k);
    silu<T, W>(x, value, derivative);
    value.store(numbers + k);
    if (slope) derivative.store(slope + k);
  });
}

// The arguments of the ops from `rows` to the last map, checked.
class ChargedArguments {
 public:
  static constexpr int kCount = 12;
  explicit ChargedArguments(const StableIValue* stack);

  // Refuses whatever would make an op read or write out of bounds.
  Edges check(const Tensor& sender, const Tensor& row_ptr, const Tensor& pair) const;
  // Of what is kept for the derivative: (E, 3 C), or (0, 3 C) for nothing.
  void check_kept(const Tensor& kept, int64_t num_edges) const;

  template <class T>
  ChargedInput<T> input(const Edges& edges) const {
    const auto map = [&](int k) { return (*maps[k]).template data<T>(); };
    return {rows.data<T>(),
            row.data<int32_t>(),
            t.data<T>(),
            own.data<T>(),
            other.data<T>(),
            y.data<T>(),
            {map(0), map(1), map(2), map(3), map(4), map(5)},
            rows.size(1),
            own.size(1),
            second_bias.size(0),
            y.size(2),
            edges};
  }

  const Tensor rows, row, t, own, other, y;

 private:
  const Tensor second, second_transposed, second_bias, third, third_transposed, third_bias;
  const Tensor* const maps[6] = {&second, &second_transposed, &second_bias, &third, &third_transposed, &third_bias};
};

}  // namespace torchmdnet
