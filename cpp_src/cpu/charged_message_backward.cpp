// The derivative of charged_message.cpp; letters there and in charged_message.h. Of a gradient g (9, N, C):
//   t (P,), own (N, A), other (N, A), y (9, N, C)
//
// The edges from an atom j, the reverses of those to it, are visited together: what j sends is summed at once, and what
// an edge adds to its receiver, A numbers, is stored and summed at the end. From q, which was kept or is made anew, the
// derivative goes back through the layers in blocks of edges. The order of every sum is fixed: the same bits for any
// number of threads.
#include "charged_message.h"
#include "reverse_edges.h"

namespace torchmdnet {
namespace {

template <class T>
constexpr int kWide = 64 / sizeof(T);

template <class T>
struct ChargedGradients {
  const T* grad;                // (9, N, C)
  const T* kept;                // (E, 3 C), or null
  const int32_t* reverse;       // (E,)
  T *own, *other, *y;           // (N, A), (N, A), (9, N, C)
  T *of_edges, *slopes;         // (E, A) derivatives by a, (E,) by t
};

// The numbers of a block of edges in between, a row an edge.
template <class T>
struct ChargedSpace {
  Scratch<T> all;
  T *active, *slope, *by_t;    // silu(a), its derivative, that of R: A numbers
  T *p, *p_slope;              // p, then silu(p), then the derivative by it; the slope of silu: B numbers
  T *q;                        // 3 C numbers: q, then the derivative by it
  T *shares;                   // kWide numbers: of the derivative by F
  std::vector<T> zeros;

  explicit ChargedSpace(const ChargedInput<T>& in)
      : all(kEdgesAtOnce * (3 * in.first + 2 * in.second + in.third() + kWide<T>)),
        zeros(std::max(in.first, in.second), T(0)) {
    T* at = all.data();
    const auto take = [&](int64_t width) {
      T* array = at;
      at += kEdgesAtOnce * width;
      return array;
    };
    active = take(in.first);
    slope = take(in.first);
    by_t = take(in.first);
    p = take(in.second);
    p_slope = take(in.second);
    q = take(in.third());
    shares = take(kWide<T>);
  }
};

// W channels of an edge: adds to what the atom that it comes from gets, and to its share of the derivative by F. From q,
// of 3 C numbers, it makes the derivative by q, which may take its place.
template <class T, int W>
TMD_INLINE void weight_lanes(const ChargedInput<T>& in, const ChargedGradients<T>& to, const ChargedEdge<T>& edge,
                             const T* q, int64_t channel, T* by_q, T* shares) {
  const int64_t C = in.channels, plane = in.plane(), here = edge.sender * C + channel;
  const T* from = to.grad + edge.receiver * C + channel;
  Lanes<T, W> w[kParts], slope[kParts], product[kParts] = {}, share, value, y, sum;
  for (int k = 0; k < kParts; ++k) {
    value.load(q + k * C + channel);
    silu<T, W>(value, w[k], slope[k]);
  }
  share.load(shares);
  for (int c = 0; c < kComponents; ++c) {
    value.load(from + c * plane);
    y.load(in.y + c * plane + here);
    sum.load(to.y + c * plane + here);
    product[kPart[c]].v += y.v * value.v;
    sum.v += (edge.fade * w[kPart[c]].v) * value.v;
    sum.store(to.y + c * plane + here);
  }
  for (int k = 0; k < kParts; ++k) {
    share.v += w[k].v * product[k].v;
    slope[k].v *= edge.fade * product[k].v;
    slope[k].store(by_q + k * C + channel);
  }
  share.store(shares);
}

// Edge by edge, all channels of each, so that memory is read in long pieces; q is what was kept, or what is there.
template <class T>
TMD_INLINE void weight_block(const ChargedInput<T>& in, const ChargedGradients<T>& to, const ChargedEdge<T>* edges,
                             int64_t count, T* q, T* shares) {
  const int64_t size = in.third();
  std::fill_n(shares, count * kWide<T>, T(0));
  for (int64_t n = 0; n < count; ++n) {
    const T* from = to.kept ? to.kept + edges[n].number * size : q + n * size;
    for_lanes<T>(0, in.channels, [&](auto width, int64_t channel) TMD_BODY {
      weight_lanes<T, decltype(width)::value>(in, to, edges[n], from, channel, q + n * size, shares + n * kWide<T>);
    });
  }
}

template <class T>
TMD_INLINE void multiply(T* numbers, const T* factors, int64_t count) {
  TMD_INDEPENDENT
  for (int64_t k = 0; k < count; ++k) numbers[k] *= factors[k];
}

// From the derivatives by silu(a) to those by a and t, and to the sums of the atoms that the edges come from.
template <class T>
TMD_INLINE void first_layer_backward(const ChargedInput<T>& in, const ChargedGradients<T>& to,
                                     const ChargedEdge<T>* edges, int64_t count, const T* by_active, const T* slope,
                                     const T* by_t, const T* shares) {
  const int64_t A = in.first;
  for (int64_t n = 0; n < count; ++n) {
    const ChargedEdge<T>& edge = edges[n];
    T *of_edge = to.of_edges + edge.number * A, *other = to.other + edge.sender * A;
    Lanes<T, kWide<T>> total;
    total.load(shares + n * kWide<T>);
    T along = edge.fade_slope * total.sum();
    for_lanes<T>(0, A, [&](auto width, int64_t c) TMD_BODY {
      constexpr int W = decltype(width)::value;
      Lanes<T, W> a, factor, sum;
      a.load(by_active + n * A + c);
      factor.load(slope + n * A + c);
      a.v *= factor.v;
      a.store(of_edge + c);
      sum.load(other + c);
      sum.v += a.v;
      sum.store(other + c);
      factor.load(by_t + n * A + c);
      a.v *= factor.v;
      along += a.sum();
    });
    to.slopes[edge.number] = along;
  }
}

// One block through all layers and back.
template <class T>
void backward_block(const ChargedInput<T>& in, const ChargedGradients<T>& to, const ChargedEdge<T>* edges,
                    int64_t count, ChargedSpace<T>& space) {
  const int64_t A = in.first, B = in.second, size = in.third();
  const ChargedMaps<T>& maps = in.maps;
  const T* zeros = space.zeros.data();
  run<first_layer<T>>(in, edges, count, space.active, space.slope, space.by_t);
  product({space.active, A}, {maps.second, B}, {count, A, B}, {maps.second_bias, 0}, {space.p, B});
  run<activate<T>>(space.p, count * B, space.p_slope);
  if (!to.kept)
    product({space.p, B}, {maps.third, size}, {count, B, size}, {maps.third_bias, 0}, {space.q, size});
  run<weight_block<T>>(in, to, edges, count, space.q, space.shares);
  product({space.q, size}, {maps.third_transposed, B}, {count, size, B}, {zeros, 0}, {space.p, B});
  run<multiply<T>>(space.p, static_cast<const T*>(space.p_slope), count * B);
  product({space.p, B}, {maps.second_transposed, A}, {count, B, A}, {zeros, 0}, {space.active, A});
  run<first_layer_backward<T>>(in, to, edges, count, static_cast<const T*>(space.active),
                               static_cast<const T*>(space.slope), static_cast<const T*>(space.by_t),
                               static_cast<const T*>(space.shares));
}

// The edges from atoms [begin, end).
template <class T>
void backward_atoms(const ChargedInput<T>& in, const ChargedGradients<T>& to, int64_t begin, int64_t end) {
  const int64_t A = in.first, C = in.channels, last = in.edges.row_ptr[end];
  for (int c = 0; c < kComponents; ++c)
    std::fill(to.y + c * in.plane() + begin * C, to.y + c * in.plane() + end * C, T(0));
  std::fill(to.other + begin * A, to.other + end * A, T(0));
  ChargedSpace<T> space(in);
  ChargedEdge<T> edges[kEdgesAtOnce];
  int64_t j = begin;
  for (int64_t first = in.edges.row_ptr[begin]; first < last; first += kEdgesAtOnce) {
    const int64_t count = std::min(kEdgesAtOnce, last - first);
    for (int64_t n = 0; n < count; ++n) {
      const int64_t e = first + n;
      while (e >= in.edges.row_ptr[j + 1]) ++j;
      edges[n] = {to.reverse[e], in.edges.sender[e], static_cast<int32_t>(j), in.edges.pair[e], 0, 0};
      set_fade(in, edges[n]);
    }
    backward_block(in, to, static_cast<const ChargedEdge<T>*>(edges), count, space);
  }
}

// What the edges to each of atoms [begin, end) add to its own numbers.
template <class T>
TMD_INLINE void own_rows(const ChargedInput<T>& in, const T* of_edges, int64_t begin, int64_t end, T* own) {
  const int64_t A = in.first;
  for (int64_t i = begin; i < end; ++i)
    for_lanes<T>(0, A, [&](auto width, int64_t c) TMD_BODY {
      Lanes<T, decltype(width)::value> sum = {}, value;
      for (int64_t e = in.edges.row_ptr[i]; e < in.edges.row_ptr[i + 1]; ++e) {
        value.load(of_edges + e * A + c);
        sum.v += value.v;
      }
      sum.store(own + i * A + c);
    });
}

template <class T>
void backward_cpu(const ChargedInput<T>& in, ChargedGradients<T> to, T* to_t) {
  const int64_t num_edges = in.edges.num_edges;
  const std::vector<int32_t> reverse = reverse_edges(in.edges);
  Scratch<T> of_edges(num_edges * in.first), slopes(num_edges);
  to.reverse = reverse.data();
  to.of_edges = of_edges.data();
  to.slopes = slopes.data();
  parallel_for(in.edges.num_atoms, in.atoms_per_task(),
               [&](int64_t begin, int64_t end) { backward_atoms(in, to, begin, end); });
  parallel_for(in.edges.num_atoms, in.edges.atoms_per_task(in.first), [&](int64_t begin, int64_t end) {
    run<own_rows<T>>(in, static_cast<const T*>(to.of_edges), begin, end, to.own);
  });
  std::fill_n(to_t, in.edges.num_pairs, T(0));
  for (int32_t e = 0; e < in.edges.row_ptr[in.edges.num_atoms]; ++e) to_t[in.edges.pair[e]] += to.slopes[e];
}

}  // namespace

// charged_message_backward(grad, rows, row, t, own, other, y, second, second_transposed, second_bias, third,
//   third_transposed, third_bias, kept, receiver, sender, row_ptr, pair) -> t, own, other, y
void charged_message_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]);
  const ChargedArguments arguments(stack + 1);
  const StableIValue* rest = stack + 1 + ChargedArguments::kCount;
  const Tensor kept(rest[0]), receiver(rest[1]), sender(rest[2]), row_ptr(rest[3]), pair(rest[4]);
  const Edges edges = arguments.check(sender, row_ptr, pair);
  const Tensor &y = arguments.y, &own = arguments.own;
  const int64_t N = y.size(1), C = y.size(2), A = own.size(1);
  arguments.check_kept(kept, edges.num_edges);
  require(grad.contiguous() && grad.dtype() == y.dtype() && grad.dim() == 3 && grad.size(0) == kComponents &&
              grad.size(1) == N && grad.size(2) == C,
          "grad must be contiguous and of y's shape and type");
  Tensor to_t = y.empty_like({arguments.t.size(0)}), to_own = y.empty_like({N, A}), to_other = y.empty_like({N, A}),
         to_y = y.empty_like({kComponents, N, C});
  for_type(y, [&](auto type) {
    using T = decltype(type);
    const ChargedGradients<T> to{grad.data<T>(),
                                 kept.size(0) == edges.num_edges ? kept.data<T>() : nullptr,
                                 nullptr,
                                 to_own.mutable_data<T>(),
                                 to_other.mutable_data<T>(),
                                 to_y.mutable_data<T>(),
                                 nullptr,
                                 nullptr};
    backward_cpu<T>(arguments.input<T>(edges), to, to_t.mutable_data<T>());
  });
  int64_t position = 0;
  for (Tensor* result : {&to_t, &to_own, &to_other, &to_y}) stack[position++] = result->release();
}

}  // namespace torchmdnet
