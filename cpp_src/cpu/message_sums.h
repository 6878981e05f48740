// Sums of messages between tensors: what ops with a weight for each pair and with one for each edge do alike.
//
// out[c, i] = sum over edges e to i of  weight[row(e), part c] * x[c, sender e], with weight (*, 3, C), x and out
// (9, N, C). Each output is the sum of its terms in the order of the edges, by one thread.
#pragma once
#include "../edges.h"
#include "../lanes.h"
#include "../tensor_input.h"
#include "../torch_abi.h"
#include "parallel_chunks.h"
#include "table_columns.h"

namespace torchmdnet {

template <class T, int W, class Row>
TMD_INLINE void message_lanes(const T* weight, const T* x, const Edges& edges, Row row, int64_t C, int64_t i,
                              int64_t channel, T* out) {
  const int64_t plane = edges.num_atoms * C;
  Lanes<T, W> sum[kComponents] = {};
  for (int64_t e = edges.row_ptr[i]; e < edges.row_ptr[i + 1]; ++e) {
    const T* w = weight + row(e) * (kParts * C) + channel;
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

template <class T, class Row>
TMD_INLINE void message_rows(const T* weight, const T* x, const Edges& edges, Row row, int64_t C, int64_t begin,
                             int64_t end, T* out) {
  for (int64_t i = begin; i < end; ++i)
    for_lanes<T>(0, C, [&](auto width, int64_t channel) TMD_BODY {
      message_lanes<T, decltype(width)::value>(weight, x, edges, row, C, i, channel, out);
    });
}

template <class T, class Row>
void sum_messages(const Tensor& weight, const Tensor& x, const Edges& edges, Row row, const Tensor& out) {
  const T *w = weight.data<T>(), *from = x.data<T>();
  T* to = out.mutable_data<T>();
  const int64_t C = x.size(2);
  parallel_chunks(edges.num_atoms, edges.atoms_per_task(C), [&](int64_t begin, int64_t end) {
    run<message_rows<T, Row>>(w, from, edges, row, C, begin, end, to);
  });
}

}  // namespace torchmdnet
