// Messages between tensors with weights that a network makes of the distance and of what both atoms have; letters and
// layers in charged_message.h, the network's last numbers q (E, 3 C):
//   out (9, N, C): out[c, i] = sum over edges e to i of  F(t) silu(q)[part c] * y[c, sender e]
//   kept (E, 3 C): q, which the derivative needs, or (0, 3 C) where it is to make q anew
//
// A block of edges goes through all layers while its numbers are in the cache; nothing but `kept` grows with E x C. An
// edge takes A B + 3 B C multiply-adds, next to which all else is little. Threads divide the atoms; each number is one
// chain of additions in the order of the edges: the same bits for any number of threads.
#include "charged_message.h"

#include "huge_pages.h"

namespace torchmdnet {

ChargedArguments::ChargedArguments(const StableIValue* stack)
    : rows(stack[0]),
      row(stack[1]),
      t(stack[2]),
      own(stack[3]),
      other(stack[4]),
      y(stack[5]),
      second(stack[6]),
      second_transposed(stack[7]),
      second_bias(stack[8]),
      third(stack[9]),
      third_transposed(stack[10]),
      third_bias(stack[11]) {}

namespace {

bool is_shape(const Tensor& tensor, std::initializer_list<int64_t> sizes) {
  if (tensor.dim() != static_cast<int64_t>(sizes.size())) return false;
  int64_t axis = 0;
  for (const int64_t size : sizes)
    if (tensor.size(axis++) != size) return false;
  return true;
}

}  // namespace

Edges ChargedArguments::check(const Tensor& sender, const Tensor& row_ptr, const Tensor& pair) const {
  require_float(y, "y must be float32 or float64");
  for (const Tensor* array : {&rows, &t, &own, &other, &y})
    require(array->contiguous() && array->dtype() == y.dtype(), "arrays must be contiguous and of one type");
  for (const Tensor* map : maps)
    require(map->contiguous() && map->dtype() == y.dtype(), "maps must be contiguous and of the arrays' type");
  require(row.dim() == 1 && row.contiguous() && row.dtype() == aoti_torch_dtype_int32(),
          "row must be a contiguous int32 vector");
  require(y.dim() == 3 && own.dim() == 2 && second_bias.dim() == 1 && rows.dim() == 3,
          "want y (9, N, C), own (N, A), second_bias (B,) and rows (M, K, A + 1)");
  const int64_t N = y.size(1), C = y.size(2), A = own.size(1), B = second_bias.size(0);
  require(y.size(0) == kComponents && is_shape(own, {N, A}) && is_shape(other, {N, A}),
          "want y (9, N, C), own and other (N, A)");
  require(rows.size(1) >= 1 && rows.size(2) == A + 1 && row.size(0) == t.size(0) && t.dim() == 1,
          "want rows (M, K, A + 1) with K >= 1, row and t (P,)");
  require(A > 0 && B > 0 && C > 0, "want A, B and C of at least 1");
  require(is_shape(second, {A, B}) && is_shape(second_transposed, {B, A}),
          "want second (A, B) and second_transposed (B, A)");
  require(is_shape(third, {B, kParts * C}) && is_shape(third_transposed, {kParts * C, B}) &&
              is_shape(third_bias, {kParts * C}),
          "want third (B, 3 C), third_transposed (3 C, B) and third_bias (3 C,)");
  const int64_t num_rows = rows.size(0);
  const int32_t* of_pairs = row.data<int32_t>();
  for (int64_t p = 0; p < row.size(0); ++p)
    require(of_pairs[p] >= 0 && of_pairs[p] < num_rows, "a pair's polynomial has no row");
  return check_edges(sender, row_ptr, pair, N, row.size(0));
}

void ChargedArguments::check_kept(const Tensor& kept, int64_t num_edges) const {
  require(kept.contiguous() && kept.dtype() == y.dtype() &&
              (is_shape(kept, {num_edges, kParts * y.size(2)}) || is_shape(kept, {0, kParts * y.size(2)})),
          "kept must be contiguous, of shape (E, 3 C) or (0, 3 C) and of the arrays' type");
}

namespace {

// Adds W channels of edges with one receiver to its sums; q has a row of 3 C numbers an edge.
template <class T, int W>
TMD_INLINE void message_lanes(const ChargedInput<T>& in, const ChargedEdge<T>* edges, int64_t count, const T* q,
                              int64_t channel, T* out) {
  const int64_t C = in.channels, plane = in.plane();
  T* to = out + edges->receiver * C + channel;
  Lanes<T, W> sum[kComponents], w[kParts], value;
  for (int c = 0; c < kComponents; ++c) sum[c].load(to + c * plane);
  for (int64_t n = 0; n < count; ++n) {
    const T *row = q + n * in.third() + channel, *from = in.y + edges[n].sender * C + channel;
    for (int k = 0; k < kParts; ++k) {
      w[k].load(row + k * C);
      w[k].v *= any_sigmoid<T, W>(w[k]).v * edges[n].fade;
    }
    for (int c = 0; c < kComponents; ++c) {
      value.load(from + c * plane);
      sum[c].v += w[kPart[c]].v * value.v;
    }
  }
  for (int c = 0; c < kComponents; ++c) sum[c].store(to + c * plane);
}

template <class T>
TMD_INLINE void message_block(const ChargedInput<T>& in, const ChargedEdge<T>* edges, int64_t count, const T* q,
                              T* out) {
  for (int64_t first = 0, end; first < count; first = end) {
    for (end = first + 1; end < count && edges[end].receiver == edges[first].receiver;) ++end;
    for_lanes<T>(0, in.channels, [&](auto width, int64_t channel) TMD_BODY {
      message_lanes<T, decltype(width)::value>(in, edges + first, end - first, q + first * in.third(), channel, out);
    });
  }
}

// Atoms [begin, end); what is kept goes to its place at once.
template <class T>
void message_atoms(const ChargedInput<T>& in, int64_t begin, int64_t end, T* kept, T* out) {
  const int64_t A = in.first, B = in.second, size = in.third();
  for (int c = 0; c < kComponents; ++c)
    std::fill(out + c * in.plane() + begin * in.channels, out + c * in.plane() + end * in.channels, T(0));
  Scratch<T> space(kEdgesAtOnce * (A + B + (kept ? 0 : size)));
  T *active = space.data(), *p = active + kEdgesAtOnce * A, *own_q = p + kEdgesAtOnce * B;
  ChargedEdge<T> edges[kEdgesAtOnce];
  int64_t i = begin;
  const int64_t last = in.edges.row_ptr[end];
  for (int64_t first = in.edges.row_ptr[begin]; first < last; first += kEdgesAtOnce) {
    const int64_t count = std::min(kEdgesAtOnce, last - first);
    for (int64_t n = 0; n < count; ++n) {
      const int64_t e = first + n;
      while (e >= in.edges.row_ptr[i + 1]) ++i;
      edges[n] = {static_cast<int32_t>(e), static_cast<int32_t>(i), in.edges.sender[e], in.edges.pair[e], 0, 0};
      set_fade(in, edges[n]);
    }
    T* q = kept ? kept + first * size : own_q;
    const ChargedEdge<T>* block = edges;
    T* none = nullptr;
    run<first_layer<T>>(in, block, count, active, none, none);
    product({active, A}, {in.maps.second, B}, {count, A, B}, {in.maps.second_bias, 0}, {p, B});
    run<activate<T>>(p, count * B, none);
    product({p, B}, {in.maps.third, size}, {count, B, size}, {in.maps.third_bias, 0}, {q, size});
    run<message_block<T>>(in, block, count, static_cast<const T*>(q), out);
  }
}

template <class T>
void message_cpu(const ChargedInput<T>& in, T* kept, T* out) {
  if (kept) {
    const int64_t size = in.third();
    ask_huge_pages(kept, in.edges.num_edges * size * sizeof(T));
    std::fill(kept + in.edges.row_ptr[in.edges.num_atoms] * size, kept + in.edges.num_edges * size, T(0));
  }
  parallel_for(in.edges.num_atoms, in.atoms_per_task(),
               [&](int64_t begin, int64_t end) { message_atoms(in, begin, end, kept, out); });
}

}  // namespace

// charged_message(rows, row, t, own, other, y, second, second_transposed, second_bias, third, third_transposed,
//   third_bias, receiver, sender, row_ptr, pair, keeps) -> (9, N, C), (E, 3 C) or (0, 3 C)
void charged_message(StableIValue* stack, uint64_t, uint64_t) {
  const ChargedArguments arguments(stack);
  const StableIValue* rest = stack + ChargedArguments::kCount;
  const Tensor receiver(rest[0]), sender(rest[1]), row_ptr(rest[2]), pair(rest[3]);
  const bool keeps = argument<bool>(rest[4]);
  const Edges edges = arguments.check(sender, row_ptr, pair);
  const Tensor& y = arguments.y;
  Tensor out = y.empty_like({kComponents, y.size(1), y.size(2)}),
         kept = y.empty_like({keeps ? edges.num_edges : 0, kParts * y.size(2)});
  for_type(y, [&](auto type) {
    using T = decltype(type);
    message_cpu<T>(arguments.input<T>(edges), keeps ? kept.mutable_data<T>() : nullptr, out.mutable_data<T>());
  });
  stack[0] = out.release();
  stack[1] = kept.release();
}

}  // namespace torchmdnet
