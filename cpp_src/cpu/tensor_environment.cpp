// The tensor of each atom's surroundings, and its adjoints (see torchmdnet/ops/tensor_environment.py).
//
// N atoms, E edges sorted by receiver, P pairs, C channels, all arrays contiguous; for an edge e from j to i
// z[e] = own[i] + other[j]:
//   forward  out (9, N, C):    out[c, i] = sum over edges e of i of  y[e, c] * weight[pair e, part c] * z[e]
//   backward of grad (9, N, C): y (E, 9), weight (P, 3, C), own (N, C), other (N, C)
//
// Forward: nothing of size E x C is stored; threads divide the atoms. Backward: threads divide the channels, because
// edges of several atoms add to one pair and one neighbour; the sum over channels of y's gradient is made of one
// partial sum for each block of 16 channels, 9 E C / 16 numbers in all.
// The order of every sum is fixed: the same bits for any number of threads.
#include <algorithm>
#include <vector>

#include "../edges.h"
#include "../lanes.h"
#include "../tensor_input.h"
#include "../torch_abi.h"
#include "parallel_chunks.h"

namespace torchmdnet {
namespace {

constexpr int64_t kBlock = 16;  // channels a task of the backward pass has

template <class T>
struct Inputs {
  const T *y, *weight, *own, *other;
  Edges edges;
  int64_t channels;
};

template <class T>
struct Gradients {
  T *y, *weight, *own, *other;
};

// W channels of one atom.
template <class T, int W>
TMD_INLINE void forward_lanes(const Inputs<T>& in, int64_t i, int64_t channel, T* out) {
  const int64_t C = in.channels, plane = in.edges.num_atoms * C;
  Lanes<T, W> sum[kComponents] = {}, own, other, w, scaled[kParts];
  own.load(in.own + i * C + channel);
  for (int64_t e = in.edges.row_ptr[i]; e < in.edges.row_ptr[i + 1]; ++e) {
    const T *row = in.weight + in.edges.pair[e] * (kParts * C) + channel, *y = in.y + e * kComponents;
    other.load(in.other + in.edges.sender[e] * C + channel);
    for (int k = 0; k < kParts; ++k) {
      w.load(row + k * C);
      scaled[k].v = w.v * (own.v + other.v);
    }
    for (int c = 0; c < kComponents; ++c) sum[c].v += y[c] * scaled[kPart[c]].v;
  }
  for (int c = 0; c < kComponents; ++c) sum[c].store(out + c * plane + i * C + channel);
}

template <class T>
TMD_INLINE void forward_rows(const Inputs<T>& in, int64_t begin, int64_t end, T* out) {
  constexpr int W = 64 / sizeof(T);
  for (int64_t i = begin; i < end; ++i) {
    int64_t channel = 0;
    for (; channel + W <= in.channels; channel += W) forward_lanes<T, W>(in, i, channel, out);
    for (; channel < in.channels; ++channel) forward_lanes<T, 1>(in, i, channel, out);
  }
}

// W channels of all edges; adds the channels' share to to.y, which belongs to this block of channels.
template <class T, int W>
TMD_INLINE void backward_lanes(const Inputs<T>& in, const T* grad, int64_t channel, const Gradients<T>& to) {
  const int64_t C = in.channels, plane = in.edges.num_atoms * C;
  for (int64_t i = 0; i < in.edges.num_atoms; ++i) {
    Lanes<T, W> g[kComponents], own, own_sum = {};
    for (int c = 0; c < kComponents; ++c) g[c].load(grad + c * plane + i * C + channel);
    own.load(in.own + i * C + channel);
    for (int64_t e = in.edges.row_ptr[i]; e < in.edges.row_ptr[i + 1]; ++e) {
      const int64_t row = in.edges.pair[e] * (kParts * C) + channel, at = in.edges.sender[e] * C + channel;
      const T* y = in.y + e * kComponents;
      Lanes<T, W> z, w, turned[kParts] = {}, of_z = {}, sum, scaled[kParts];
      z.load(in.other + at);
      z.v += own.v;
      for (int c = 0; c < kComponents; ++c) turned[kPart[c]].v += y[c] * g[c].v;
      for (int k = 0; k < kParts; ++k) {
        w.load(in.weight + row + k * C);
        sum.load(to.weight + row + k * C);
        sum.v += turned[k].v * z.v;
        sum.store(to.weight + row + k * C);
        of_z.v += turned[k].v * w.v;
        scaled[k].v = w.v * z.v;
      }
      own_sum.v += of_z.v;
      sum.load(to.other + at);
      sum.v += of_z.v;
      sum.store(to.other + at);
      for (int c = 0; c < kComponents; ++c) {
        sum.v = g[c].v * scaled[kPart[c]].v;
        to.y[e * kComponents + c] += sum.sum();
      }
    }
    own_sum.store(to.own + i * C + channel);
  }
}

// One block of at most kBlock channels.
template <class T>
TMD_INLINE void backward_block(const Inputs<T>& in, const T* grad, int64_t first, const Gradients<T>& to) {
  constexpr int W = 64 / sizeof(T);
  const int64_t end = first + kBlock < in.channels ? first + kBlock : in.channels;
  int64_t channel = first;
  for (; channel + W <= end; channel += W) backward_lanes<T, W>(in, grad, channel, to);
  for (; channel < end; ++channel) backward_lanes<T, 1>(in, grad, channel, to);
}

struct Arguments {
  const Tensor &y, &weight, &own, &other, &sender, &row_ptr, &pair;

  // Refuses wrong types and shapes, and edges out of range.
  Edges check() const {
    check_surroundings(y, weight, own, other, sender);
    return check_edges(sender, row_ptr, pair, own.size(0), weight.size(0));
  }

  template <class T>
  Inputs<T> inputs(const Edges& edges) const {
    return {y.data<T>(), weight.data<T>(), own.data<T>(), other.data<T>(), edges, own.size(1)};
  }
};

template <class T>
void forward_cpu(const Inputs<T>& in, const Tensor& out) {
  T* to = out.mutable_data<T>();
  parallel_chunks(in.edges.num_atoms, in.edges.atoms_per_task(in.channels),
               [&](int64_t begin, int64_t end) { run<forward_rows<T>>(in, begin, end, to); });
}

template <class T>
void backward_cpu(const Inputs<T>& in, const T* from, const Tensor& to_y, const Tensor& to_weight, const Tensor& to_own,
                  const Tensor& to_other) {
  const int64_t blocks = (in.channels + kBlock - 1) / kBlock, row = in.edges.num_edges * kComponents;
  std::vector<T> partial(blocks * row);
  T *y = to_y.mutable_data<T>(), *weight = to_weight.mutable_data<T>(), *own = to_own.mutable_data<T>(),
    *other = to_other.mutable_data<T>();
  std::fill_n(weight, in.edges.num_pairs * kParts * in.channels, T(0));
  std::fill_n(other, in.edges.num_atoms * in.channels, T(0));
  const int64_t work = 4 * kComponents * kBlock * in.edges.num_edges + 1;
  parallel_for(blocks, kGrainValues / work + 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block)
      run<backward_block<T>>(in, from, block * kBlock, Gradients<T>{partial.data() + block * row, weight, own, other});
  });
  for (int64_t k = 0; k < row; ++k) {
    T sum = 0;
    for (int64_t block = 0; block < blocks; ++block) sum += partial[block * row + k];
    y[k] = sum;
  }
}

}  // namespace

void tensor_environment(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor y(stack[0]), weight(stack[1]), own(stack[2]), other(stack[3]), sender(stack[4]), row_ptr(stack[5]),
      pair(stack[6]);
  const Arguments arguments{y, weight, own, other, sender, row_ptr, pair};
  const Edges edges = arguments.check();
  Tensor out = own.empty_like({kComponents, own.size(0), own.size(1)});
  for_type(own, [&](auto type) { forward_cpu(arguments.inputs<decltype(type)>(edges), out); });
  stack[0] = out.release();
}

void tensor_environment_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), y(stack[1]), weight(stack[2]), own(stack[3]), other(stack[4]), sender(stack[5]),
      row_ptr(stack[6]), pair(stack[7]);
  const Arguments arguments{y, weight, own, other, sender, row_ptr, pair};
  const Edges edges = arguments.check();
  check_surroundings_gradient(grad, own);
  Tensor to_y = y.empty_like({y.size(0), kComponents}), to_own = own.empty_like({own.size(0), own.size(1)}),
         to_other = own.empty_like({own.size(0), own.size(1)}),
         to_weight = own.empty_like({weight.size(0), kParts, weight.size(2)});
  for_type(own, [&](auto type) {
    using T = decltype(type);
    backward_cpu(arguments.inputs<T>(edges), grad.data<T>(), to_y, to_weight, to_own, to_other);
  });
  stack[0] = to_y.release();
  stack[1] = to_weight.release();
  stack[2] = to_own.release();
  stack[3] = to_other.release();
}

}  // namespace torchmdnet
