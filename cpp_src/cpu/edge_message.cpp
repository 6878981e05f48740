// Messages between tensors of 1 + 3 + 5 components with a weight for each edge, and their adjoints.
//
// N atoms, E edges sorted by receiver, C channels, all arrays contiguous:
//   message    out (9, N, C):  out[c, i] = sum over edges e to i of    weight[e, part c] * x[c, sender e]
//   transpose  out (9, N, C):  out[c, j] = sum over edges e from j of  weight[e, part c] * y[c, receiver e]
//   weight     out (E, 3, C):  out[e, k] = sum over components c of part k of  x[c, sender e] * y[c, receiver e]
// The first two are each other's adjoint, the third is the adjoint of both with respect to the weight; derivatives of
// any order are these three. The edges from j are the reverses of those to j: so the transpose is the message with the
// weights of the reverses.
//
// Memory: nothing of size E x C is stored but the result of the third; the transpose takes an integer an edge. The
// first two read 12 C numbers an edge and write 9 C an atom, the third reads 9 C an edge and writes 3 C. Each output is
// the sum of its terms in the order of the edges, by one thread: the same bits for any number of threads.
#include <algorithm>
#include <vector>

#include "../edges.h"
#include "../lanes.h"
#include "../tensor_input.h"
#include "../torch_abi.h"
#include "message_sums.h"
#include "parallel_chunks.h"
#include "reverse_edges.h"

namespace torchmdnet {
namespace {

// Where the weights of an edge are: at the edge, or at its reverse.
struct WeightRows {
  const int32_t* reverse;
  TMD_INLINE int64_t operator()(int64_t e) const { return reverse ? reverse[e] : e; }
};

template <class T, int W>
TMD_INLINE void weight_lanes(const T* x, const T* y, const Edges& edges, int64_t C, int64_t i, int64_t channel,
                             T* out) {
  const int64_t plane = edges.num_atoms * C;
  Lanes<T, W> own[kComponents], value;
  for (int c = 0; c < kComponents; ++c) own[c].load(y + c * plane + i * C + channel);
  for (int64_t e = edges.row_ptr[i]; e < edges.row_ptr[i + 1]; ++e) {
    const T* from = x + edges.sender[e] * C + channel;
    Lanes<T, W> sum[kParts] = {};
    for (int c = 0; c < kComponents; ++c) {
      value.load(from + c * plane);
      sum[kPart[c]].v += own[c].v * value.v;
    }
    for (int k = 0; k < kParts; ++k) sum[k].store(out + (e * kParts + k) * C + channel);
  }
}

template <class T>
TMD_INLINE void weight_rows(const T* x, const T* y, const Edges& edges, int64_t C, int64_t begin, int64_t end, T* out) {
  for (int64_t i = begin; i < end; ++i)
    for_lanes<T>(0, C, [&](auto width, int64_t channel) TMD_BODY {
      weight_lanes<T, decltype(width)::value>(x, y, edges, C, i, channel, out);
    });
}

template <class T>
void weight_cpu(const Tensor& x, const Tensor& y, const Edges& edges, const Tensor& out) {
  const T *a = x.data<T>(), *b = y.data<T>();
  T* to = out.mutable_data<T>();
  const int64_t C = x.size(2), row = kParts * C;
  std::fill(to + edges.row_ptr[edges.num_atoms] * row, to + edges.num_edges * row, T(0));
  parallel_chunks(edges.num_atoms, edges.atoms_per_task(C),
                  [&](int64_t begin, int64_t end) { run<weight_rows<T>>(a, b, edges, C, begin, end, to); });
}

// How many pairs there are is not said; each has an edge, so that their numbers are below the number of edges.
Edges check_numbered(const Tensor& sender, const Tensor& row_ptr, const Tensor& pair, int64_t num_atoms) {
  return check_edges(sender, row_ptr, pair, num_atoms, std::max<int64_t>(sender.size(0), 1));
}

void message_or_transpose(StableIValue* stack, bool is_transpose) {
  const Tensor weight(stack[0]), x(stack[1]), receiver(stack[2]), sender(stack[3]), row_ptr(stack[4]), pair(stack[5]);
  check_edge_message_arrays(weight, x, sender);
  const Edges edges = check_numbered(sender, row_ptr, pair, x.size(1));
  std::vector<int32_t> reverse;
  if (is_transpose) reverse = reverse_edges(edges);
  const WeightRows row{is_transpose ? reverse.data() : nullptr};
  Tensor out = x.empty_like({kComponents, x.size(1), x.size(2)});
  for_type(x, [&](auto type) { sum_messages<decltype(type)>(weight, x, edges, row, out); });
  stack[0] = out.release();
}

}  // namespace

// edge_message(weight, x, receiver, sender, row_ptr, pair) -> (9, N, C)
void edge_message(StableIValue* stack, uint64_t, uint64_t) { message_or_transpose(stack, false); }

// edge_message_transpose(weight, y, receiver, sender, row_ptr, pair) -> (9, N, C)
void edge_message_transpose(StableIValue* stack, uint64_t, uint64_t) { message_or_transpose(stack, true); }

// edge_message_weight(x, y, receiver, sender, row_ptr, pair) -> (E, 3, C)
void edge_message_weight(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), y(stack[1]), receiver(stack[2]), sender(stack[3]), row_ptr(stack[4]), pair(stack[5]);
  check_weight_arrays(x, y, sender);
  const Edges edges = check_numbered(sender, row_ptr, pair, x.size(1));
  Tensor out = x.empty_like({edges.num_edges, kParts, x.size(2)});
  for_type(x, [&](auto type) { weight_cpu<decltype(type)>(x, y, edges, out); });
  stack[0] = out.release();
}

}  // namespace torchmdnet
