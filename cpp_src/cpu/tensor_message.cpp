// Messages between tensors of 1 + 3 + 5 components (scalar, vector, symmetric traceless), and their adjoint.
//
// N atoms, E edges sorted by receiver, P pairs, C channels, all arrays contiguous:
//   message  out (9, N, C):  out[c, i] = sum over edges e of i of  weight[pair e, part c] * x[c, sender e]
//   weight   out (P, 3, C):  out[p, k] = sum over edges e of p, components c of part k, of  x[c, sender e] * y[c, receiver e]
// An edge and its reverse belong to one pair; so the first op is its own adjoint with respect to x, and the second is
// its adjoint with respect to weight, symmetric in x and y. Derivatives of any order are these two.
//
// Memory: nothing of size E x C is stored. message reads 12 C values an edge and writes 9 C an atom; weight reads 36 C and
// writes 3 C a pair. Each output is the sum of its terms in the order of the edges, by one thread: the same bits for any
// number of threads.
#include "../torch_abi.h"

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__)
#define TMD_CLONES __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define TMD_CLONES
#endif
#define TMD_INLINE inline __attribute__((always_inline))

namespace torchmdnet {
namespace {

constexpr int kComponents = 9;
constexpr int kParts = 3;
constexpr int kPart[kComponents] = {0, 1, 1, 1, 2, 2, 2, 2, 2};
constexpr int64_t kGrainValues = 1 << 15;  // work, in multiply-adds, worth a thread

struct Edges {
  const int64_t *sender, *row_ptr, *pair;
  int64_t num_atoms, num_pairs, num_channels;
};

// W values of type T that the compiler keeps in registers.
template <class T, int W>
struct Lanes {
  typedef T Vector __attribute__((vector_size(W * sizeof(T))));
  Vector v;
  TMD_INLINE void load(const T* from) { std::memcpy(&v, from, sizeof v); }
  TMD_INLINE void store(T* to) const { std::memcpy(to, &v, sizeof v); }
};
template <class T>
struct Lanes<T, 1> {
  T v;
  TMD_INLINE void load(const T* from) { v = *from; }
  TMD_INLINE void store(T* to) const { *to = v; }
};

template <class T, int W>
TMD_INLINE void message_lanes(const T* weight, const T* x, const Edges& edges, int64_t i, int64_t channel, T* out) {
  const int64_t C = edges.num_channels, plane = edges.num_atoms * C;
  Lanes<T, W> sum[kComponents] = {};
  for (int64_t e = edges.row_ptr[i]; e < edges.row_ptr[i + 1]; ++e) {
    const T* w = weight + edges.pair[e] * kParts * C + channel;
    const T* from = x + edges.sender[e] * C + channel;
    Lanes<T, W> factor[kParts], value;
    for (int k = 0; k < kParts; ++k) factor[k].load(w + k * C);
    for (int c = 0; c < kComponents; ++c) {
      value.load(from + c * plane);
      sum[c].v += factor[kPart[c]].v * value.v;
    }
  }
  for (int c = 0; c < kComponents; ++c) sum[c].store(out + c * plane + i * C + channel);
}

template <class T>
TMD_INLINE void message_rows(const T* weight, const T* x, const Edges& edges, int64_t begin, int64_t end, T* out) {
  constexpr int W = 64 / sizeof(T);
  for (int64_t i = begin; i < end; ++i) {
    int64_t channel = 0;
    for (; channel + W <= edges.num_channels; channel += W) message_lanes<T, W>(weight, x, edges, i, channel, out);
    for (; channel < edges.num_channels; ++channel) message_lanes<T, 1>(weight, x, edges, i, channel, out);
  }
}

TMD_CLONES void message_rows_f32(const float* weight, const float* x, const Edges& edges, int64_t begin, int64_t end,
                                 float* out) {
  message_rows(weight, x, edges, begin, end, out);
}
TMD_CLONES void message_rows_f64(const double* weight, const double* x, const Edges& edges, int64_t begin, int64_t end,
                                 double* out) {
  message_rows(weight, x, edges, begin, end, out);
}

// Adds x_j y_i to the pair's row, and with `both` the reverse edge's x_i y_j.
template <class T, int W, bool both>
TMD_INLINE void weight_lanes(const T* x, const T* y, const Edges& edges, int64_t i, int64_t j, int64_t channel,
                             T* row) {
  const int64_t C = edges.num_channels, plane = edges.num_atoms * C;
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
TMD_INLINE void weight_edge(const T* x, const T* y, const Edges& edges, int64_t i, int64_t e, int64_t begin,
                            int64_t end, T* out) {
  constexpr int W = 64 / sizeof(T);
  T* row = out + edges.pair[e] * kParts * edges.num_channels;
  const int64_t j = edges.sender[e];
  int64_t channel = begin;
  for (; channel + W <= end; channel += W) weight_lanes<T, W, both>(x, y, edges, i, j, channel, row);
  for (; channel < end; ++channel) weight_lanes<T, 1, both>(x, y, edges, i, j, channel, row);
}

// Pairs of two different atoms, each written by the thread that has the atom of lower number.
template <class T>
TMD_INLINE void weight_rows(const T* x, const T* y, const Edges& edges, int64_t begin, int64_t end, T* out) {
  for (int64_t i = begin; i < end; ++i)
    for (int64_t e = edges.row_ptr[i]; e < edges.row_ptr[i + 1]; ++e)
      if (edges.sender[e] > i) weight_edge<T, true>(x, y, edges, i, e, 0, edges.num_channels, out);
}

// Edges of atoms to themselves and their images. All atoms may share one row: threads divide the channels.
template <class T>
TMD_INLINE void weight_self(const T* x, const T* y, const Edges& edges, int64_t begin, int64_t end, T* out) {
  for (int64_t i = 0; i < edges.num_atoms; ++i)
    for (int64_t e = edges.row_ptr[i]; e < edges.row_ptr[i + 1]; ++e)
      if (edges.sender[e] == i) weight_edge<T, false>(x, y, edges, i, e, begin, end, out);
}

TMD_CLONES void weight_rows_f32(const float* x, const float* y, const Edges& edges, int64_t begin, int64_t end,
                                float* out) {
  weight_rows(x, y, edges, begin, end, out);
}
TMD_CLONES void weight_rows_f64(const double* x, const double* y, const Edges& edges, int64_t begin, int64_t end,
                                double* out) {
  weight_rows(x, y, edges, begin, end, out);
}
TMD_CLONES void weight_self_f32(const float* x, const float* y, const Edges& edges, int64_t begin, int64_t end,
                                float* out) {
  weight_self(x, y, edges, begin, end, out);
}
TMD_CLONES void weight_self_f64(const double* x, const double* y, const Edges& edges, int64_t begin, int64_t end,
                                double* out) {
  weight_self(x, y, edges, begin, end, out);
}

void run(const float* weight, const float* x, const Edges& edges, int64_t begin, int64_t end, float* out) {
  message_rows_f32(weight, x, edges, begin, end, out);
}
void run(const double* weight, const double* x, const Edges& edges, int64_t begin, int64_t end, double* out) {
  message_rows_f64(weight, x, edges, begin, end, out);
}
void run_rows(const float* x, const float* y, const Edges& edges, int64_t begin, int64_t end, float* out) {
  weight_rows_f32(x, y, edges, begin, end, out);
}
void run_rows(const double* x, const double* y, const Edges& edges, int64_t begin, int64_t end, double* out) {
  weight_rows_f64(x, y, edges, begin, end, out);
}
void run_self(const float* x, const float* y, const Edges& edges, int64_t begin, int64_t end, float* out) {
  weight_self_f32(x, y, edges, begin, end, out);
}
void run_self(const double* x, const double* y, const Edges& edges, int64_t begin, int64_t end, double* out) {
  weight_self_f64(x, y, edges, begin, end, out);
}

void check_float(const Tensor& tensor, const Tensor& like, const char* name) {
  require(tensor.dim() == 3 && tensor.contiguous(), std::string(name) + " must have three axes and be contiguous");
  require(tensor.dtype() == like.dtype() &&
              (tensor.dtype() == aoti_torch_dtype_float32() || tensor.dtype() == aoti_torch_dtype_float64()),
          std::string(name) + " must be float32 or float64, the same as the other");
}

Edges check_edges(const Tensor& x, const Tensor& sender, const Tensor& row_ptr, const Tensor& pair, int64_t num_pairs) {
  for (const Tensor* index : {&sender, &row_ptr, &pair})
    require(index->dim() == 1 && index->contiguous() && index->dtype() == aoti_torch_dtype_int64(),
            "sender, row_ptr and pair must be contiguous int64 vectors");
  Edges edges{sender.data<int64_t>(), row_ptr.data<int64_t>(), pair.data<int64_t>(), x.size(1), num_pairs, x.size(2)};
  const int64_t num_edges = sender.size(0);
  require(x.size(0) == kComponents, "a tensor has 9 components, not " + std::to_string(x.size(0)));
  require(pair.size(0) == num_edges && row_ptr.size(0) == edges.num_atoms + 1 && edges.row_ptr[0] == 0 &&
              edges.row_ptr[edges.num_atoms] == num_edges,
          "sender, row_ptr and pair are not of one graph");
  for (int64_t i = 0; i < edges.num_atoms; ++i) require(edges.row_ptr[i] <= edges.row_ptr[i + 1], "row_ptr descends");
  for (int64_t e = 0; e < num_edges; ++e) {
    require(edges.sender[e] >= 0 && edges.sender[e] < edges.num_atoms, "a sender is not an atom");
    require(edges.pair[e] >= 0 && edges.pair[e] < num_pairs, "an edge's pair has no row");
  }
  return edges;
}

int64_t atoms_per_task(const Edges& edges, int64_t num_edges) {
  const int64_t work = kComponents * edges.num_channels * (num_edges + edges.num_atoms) + 1;
  return edges.num_atoms * kGrainValues / work + 1;
}

template <class T>
void message_cpu(const Tensor& weight, const Tensor& x, const Edges& edges, int64_t num_edges, const Tensor& out) {
  const T *w = weight.data<T>(), *from = x.data<T>();
  T* to = out.mutable_data<T>();
  parallel_for(edges.num_atoms, atoms_per_task(edges, num_edges),
               [&](int64_t begin, int64_t end) { run(w, from, edges, begin, end, to); });
}

template <class T>
void weight_cpu(const Tensor& x, const Tensor& y, const Edges& edges, int64_t num_edges, const Tensor& out) {
  const T *a = x.data<T>(), *b = y.data<T>();
  T* to = out.mutable_data<T>();
  std::memset(to, 0, sizeof(T) * edges.num_pairs * kParts * edges.num_channels);
  parallel_for(edges.num_atoms, atoms_per_task(edges, num_edges),
               [&](int64_t begin, int64_t end) { run_rows(a, b, edges, begin, end, to); });
  constexpr int64_t lanes = 64 / sizeof(T);
  const int64_t blocks = (edges.num_channels + lanes - 1) / lanes;
  parallel_for(blocks, kGrainValues / (kComponents * lanes * (edges.num_atoms + 1)) + 1, [&](int64_t begin, int64_t end) {
    const int64_t last = end * lanes < edges.num_channels ? end * lanes : edges.num_channels;
    run_self(a, b, edges, begin * lanes, last, to);
  });
}

}  // namespace

void tensor_message(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor weight(stack[0]), x(stack[1]), sender(stack[2]), row_ptr(stack[3]), pair(stack[4]);
  check_float(weight, x, "weight");
  check_float(x, weight, "x");
  require(weight.size(1) == kParts && weight.size(2) == x.size(2), "weight must have shape (P, 3, C) for x (9, N, C)");
  const Edges edges = check_edges(x, sender, row_ptr, pair, weight.size(0));
  Tensor out = x.empty_like({kComponents, edges.num_atoms, edges.num_channels});
  if (x.dtype() == aoti_torch_dtype_float32())
    message_cpu<float>(weight, x, edges, sender.size(0), out);
  else
    message_cpu<double>(weight, x, edges, sender.size(0), out);
  stack[0] = out.release();
}

void tensor_message_weight(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), y(stack[1]), sender(stack[2]), row_ptr(stack[3]), pair(stack[4]), rows(stack[5]);
  check_float(x, y, "x");
  check_float(y, x, "y");
  require(x.size(0) == y.size(0) && x.size(1) == y.size(1) && x.size(2) == y.size(2), "x and y must have one shape");
  const Edges edges = check_edges(x, sender, row_ptr, pair, rows.size(0));
  Tensor out = x.empty_like({edges.num_pairs, kParts, edges.num_channels});
  if (x.dtype() == aoti_torch_dtype_float32())
    weight_cpu<float>(x, y, edges, sender.size(0), out);
  else
    weight_cpu<double>(x, y, edges, sender.size(0), out);
  stack[0] = out.release();
}

}  // namespace torchmdnet
