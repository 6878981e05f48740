// Messages between tensors of 1 + 3 + 5 components (scalar, vector, symmetric traceless), and their adjoint.
//
// N atoms, E edges sorted by receiver, P pairs, C channels, all arrays contiguous:
//   message  out (9, N, C):  out[c, i] = sum over edges e of i of  weight[pair e, part c] * x[c, sender e]
//   weight   out (P, 3, C):  out[p, k] = sum over edges e of p, components c of part k, of
//                                        x[c, sender e] * y[c, receiver e]; 0 for a pair without edges
// An edge and its reverse belong to one pair; so the first op is its own adjoint with respect to x, and the second is
// its adjoint with respect to weight, symmetric in x and y. Derivatives of any order are these two. A list where an
// edge lacks its reverse is refused.
//
// Memory: nothing of size E x C is stored. message reads 12 C values an edge and writes 9 C an atom; weight reads 36 C
// and writes 3 C a pair. Each output is the sum of its terms in the order of the edges, by one thread: the same bits
// for any number of threads.
#include <algorithm>
#include <atomic>

#include "../edges.h"
#include "../lanes.h"
#include "../tensor_input.h"
#include "../torch_abi.h"
#include "message_sums.h"
#include "parallel_chunks.h"

namespace torchmdnet {
namespace {

// A sum over the edges of atoms [begin, end) of numbers as good as random that are opposite for an edge and its
// reverse, of one pair and two atoms: zero over a full list, and over another one not, but for a chance of 2^-64.
TMD_INLINE void sum_signs(const Edges* edges, int64_t begin, int64_t end, uint64_t* out) {
  uint64_t sum = 0;
  for (int64_t i = begin; i < end; ++i) {
    for (int64_t e = edges->row_ptr[i]; e < edges->row_ptr[i + 1]; ++e) {
      const uint64_t j = edges->sender[e], own = i, low = j < own ? j : own, high = j < own ? own : j;
      uint64_t key = (low << 32 | high) * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(edges->pair[e]);
      key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9u;
      key = (key ^ key >> 27) * 0x94d049bb133111ebu;
      key ^= key >> 31;
      sum += j == own ? 0 : j < own ? key : ~key + 1;
    }
  }
  *out = sum;
}

Edges check_full_edges(const Tensor& sender, const Tensor& row_ptr, const Tensor& pair, int64_t num_atoms,
                       int64_t num_pairs) {
  const Edges edges = check_edges(sender, row_ptr, pair, num_atoms, num_pairs);
  constexpr int64_t kAtomsPerTask = 1024;
  std::atomic<uint64_t> sum{0};
  parallel_for(num_atoms, kAtomsPerTask, [&](int64_t begin, int64_t end) {
    uint64_t own = 0;
    run<sum_signs>(&edges, begin, end, &own);
    sum += own;
  });
  require(sum == 0, "not a full list: an edge has no reverse of the same pair");
  return edges;
}

// The weights of an edge are those of its pair.
struct PairRows {
  const int32_t* pair;
  TMD_INLINE int64_t operator()(int64_t e) const { return pair[e]; }
};

// Adds x_j y_i to the pair's row, and with `both` the reverse edge's x_i y_j.
template <class T, int W, bool both>
TMD_INLINE void weight_lanes(const T* x, const T* y, const Edges& edges, int64_t C, int64_t i, int64_t j,
                             int64_t channel, T* row) {
  const int64_t plane = edges.num_atoms * C;
  const int64_t at_i = i * C + channel, at_j = j * C + channel;
  Lanes<T, W> sum[kParts], a, b;
  for (int k = 0; k < kParts; ++k) sum[k].load(row + k * C + channel);
  for (int c = 0; c < kComponents; ++c) {
    a.load(x + c * plane + at_j);
    b.load(y + c * plane + at_i);
    sum[kPart[c]].v += a.v * b.v;
    if (both) {
      a.load(x + c * plane + at_i);
      b.load(y + c * plane + at_j);
      sum[kPart[c]].v += a.v * b.v;
    }
  }
  for (int k = 0; k < kParts; ++k) sum[k].store(row + k * C + channel);
}

template <class T, bool both>
TMD_INLINE void weight_edge(const T* x, const T* y, const Edges& edges, int64_t C, int64_t i, int64_t e, int64_t begin,
                            int64_t end, T* out) {
  constexpr int W = 64 / sizeof(T);
  T* row = out + edges.pair[e] * (kParts * C);
  const int64_t j = edges.sender[e];
  int64_t channel = begin;
  for (; channel + W <= end; channel += W) weight_lanes<T, W, both>(x, y, edges, C, i, j, channel, row);
  for (; channel < end; ++channel) weight_lanes<T, 1, both>(x, y, edges, C, i, j, channel, row);
}

// Pairs of two different atoms, each written by the thread that has the atom of lower number.
template <class T>
TMD_INLINE void weight_rows(const T* x, const T* y, const Edges& edges, int64_t C, int64_t begin, int64_t end, T* out) {
  for (int64_t i = begin; i < end; ++i)
    for (int64_t e = edges.row_ptr[i]; e < edges.row_ptr[i + 1]; ++e)
      if (edges.sender[e] > i) weight_edge<T, true>(x, y, edges, C, i, e, 0, C, out);
}

// Edges of atoms to themselves and their images. All atoms may share one row: threads divide the channels.
template <class T>
TMD_INLINE void weight_self(const T* x, const T* y, const Edges& edges, int64_t C, int64_t begin, int64_t end, T* out) {
  for (int64_t i = 0; i < edges.num_atoms; ++i)
    for (int64_t e = edges.row_ptr[i]; e < edges.row_ptr[i + 1]; ++e)
      if (edges.sender[e] == i) weight_edge<T, false>(x, y, edges, C, i, e, begin, end, out);
}

template <class T>
void weight_cpu(const Tensor& x, const Tensor& y, const Edges& edges, const Tensor& out) {
  const T *a = x.data<T>(), *b = y.data<T>();
  T* to = out.mutable_data<T>();
  const int64_t C = x.size(2);
  std::fill_n(to, edges.num_pairs * kParts * C, T(0));
  parallel_chunks(edges.num_atoms, edges.atoms_per_task(C),
                  [&](int64_t begin, int64_t end) { run<weight_rows<T>>(a, b, edges, C, begin, end, to); });
  constexpr int64_t lanes = 64 / sizeof(T);
  const int64_t blocks = (C + lanes - 1) / lanes;
  const int64_t blocks_per_task = kGrainValues / (kComponents * lanes * (edges.num_atoms + 1)) + 1;
  parallel_for(blocks, blocks_per_task, [&](int64_t begin, int64_t end) {
    run<weight_self<T>>(a, b, edges, C, begin * lanes, std::min(end * lanes, C), to);
  });
}

}  // namespace

void tensor_message(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor weight(stack[0]), x(stack[1]), sender(stack[2]), row_ptr(stack[3]), pair(stack[4]);
  check_message_arrays(weight, x);
  const Edges edges = check_full_edges(sender, row_ptr, pair, x.size(1), weight.size(0));
  Tensor out = x.empty_like({kComponents, x.size(1), x.size(2)});
  for_type(x, [&](auto type) { sum_messages<decltype(type)>(weight, x, edges, PairRows{edges.pair}, out); });
  stack[0] = out.release();
}

void tensor_message_weight(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), y(stack[1]), sender(stack[2]), row_ptr(stack[3]), pair(stack[4]), rows(stack[5]);
  check_weight_arrays(x, y, rows);
  const Edges edges = check_full_edges(sender, row_ptr, pair, x.size(1), rows.size(0));
  Tensor out = x.empty_like({edges.num_pairs, kParts, x.size(2)});
  for_type(x, [&](auto type) { weight_cpu<decltype(type)>(x, y, edges, out); });
  stack[0] = out.release();
}

}  // namespace torchmdnet
