// Attention over neighbours of scalars alone, with factors that are read from a table (see table_columns.h and
// torchmdnet/ops/table_scalar_attention.py).
//
// N atoms, E edges sorted by receiver, P pairs, C channels in heads of equal width, arrays contiguous; at coordinate s
// the table (M, 6, 2, C) has the factors w of the keys and u of the values. For an edge from j to i, with
// psi(x) = x / (1 + exp(-x)) and the sum over the channels of a head:
//   weight = psi(sum query[i] * key[j] * w)                     one number a head
//   out[i] = sum over edges e of i of  weight * value[j] * u
//
// Nothing of size E x C is stored. An edge reads 12 C numbers of the table, most of them from the cache because
// distances repeat, and 2 C of the sender. Each output is the sum of its terms in the order of the edges, by one
// thread: the same bits for any number of threads.
#include "table_scalar_attention.h"

#include <algorithm>
#include <vector>

#include "../sigmoid.h"
#include "four_sums.h"

namespace torchmdnet {
namespace {

// Scores of a batch: that of edge n and a head is at [head * kScalarBatch + n].
template <class T>
TMD_INLINE void score_batch(const ScalarInput<T>& in, int64_t i, const TableEdge<T>* edges, int64_t count, T* scores) {
  const int64_t width = in.head_width();
  const T* query = in.query + i * in.channels;
  for (int64_t n = 0; n < count; n += 4) {
    const TableEdge<T>* four[4];  // of less than four the last one again
    for (int64_t k = 0; k < 4; ++k) four[k] = edges + std::min(n + k, count - 1);
    for (int64_t head = 0; head < in.num_heads; ++head) {
      Lanes<T, 4> totals = {};
      for_lanes<T>(head * width, (head + 1) * width, [&](auto lanes, int64_t c) TMD_BODY {
        constexpr int W = decltype(lanes)::value;
        Lanes<T, W> w, terms[4];
        for (int k = 0; k < 4; ++k) {
          column_value<T, W>(in.column(four[k]->place, 0, c), in.stride(), four[k]->place.t, w);
          terms[k] = product<T, W>(query + c, in.key + four[k]->sender * in.channels + c, w);
        }
        totals.v += four_sums(terms[0], terms[1], terms[2], terms[3]).v;
      });
      totals.store(scores + head * kScalarBatch + n);
    }
  }
}

// psi of the scores, in place; room for whole lanes.
template <class T>
TMD_INLINE void weigh_batch(int64_t count, T* scores) {
  constexpr int W = 64 / sizeof(T);
  for (int64_t n = 0; n < count; n += W) {
    Lanes<T, W> x, y;
    x.load(scores + n);
    y = sigmoid<T, W>(x);
    y.v *= x.v;
    y.store(scores + n);
  }
}

// Adds the values of a batch, for W channels of one head; weights are those of the head.
template <class T, int W>
TMD_INLINE void value_lanes(const ScalarInput<T>& in, const TableEdge<T>* edges, int64_t count, const T* weights,
                            int64_t c, T* sums) {
  Lanes<T, W> sum, u, value;
  sum.load(sums + c);
  for (int64_t n = 0; n < count; ++n) {
    column_value<T, W>(in.column(edges[n].place, 1, c), in.stride(), edges[n].place.t, u);
    value.load(in.value + edges[n].sender * in.channels + c);
    sum.v += weights[n] * (u.v * value.v);
  }
  sum.store(sums + c);
}

template <class T>
TMD_INLINE void attention_rows(const ScalarInput<T>& in, int64_t begin, int64_t end, T* to) {
  const int64_t C = in.channels, width = in.head_width();
  std::vector<TableEdge<T>> edges;
  std::vector<T> weights(in.batch_numbers(1), T(0));
  for (int64_t i = begin; i < end; ++i) {
    place_edges(in.s, in.num_intervals, in.edges, i, edges);
    const int64_t num_edges = edges.size();
    std::fill_n(to + i * C, C, T(0));
    for (int64_t first = 0; first < num_edges; first += kScalarBatch) {
      const TableEdge<T>* batch = edges.data() + first;
      const int64_t count = std::min(kScalarBatch, num_edges - first);
      score_batch(in, i, batch, count, weights.data());
      weigh_batch(kScalarBatch * in.num_heads, weights.data());
      for (int64_t head = 0; head < in.num_heads; ++head) {
        for_lanes<T>(head * width, (head + 1) * width, [&](auto lanes, int64_t c) TMD_BODY {
          value_lanes<T, decltype(lanes)::value>(in, batch, count, weights.data() + head * kScalarBatch, c, to + i * C);
        });
      }
    }
  }
}

template <class T>
void attention_cpu(const ScalarInput<T>& in, const Tensor& out) {
  T* to = out.mutable_data<T>();
  parallel_chunks(in.edges.num_atoms, in.edges.atoms_per_task(in.channels),
               [&](int64_t begin, int64_t end) { run<attention_rows<T>>(in, begin, end, to); });
}

}  // namespace

// table_scalar_attention(table, s, query, key, value, receiver, sender, row_ptr, pair, num_heads) -> (N, C)
void table_scalar_attention(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor table(stack[0]), s(stack[1]), query(stack[2]), key(stack[3]), value(stack[4]), receiver(stack[5]),
      sender(stack[6]), row_ptr(stack[7]), pair(stack[8]);
  const ScalarArguments arguments{table, s, query, key, value, sender, row_ptr, pair, argument<int64_t>(stack[9])};
  const Edges edges = arguments.check();
  Tensor out = query.empty_like({query.size(0), query.size(1)});
  for_type(query, [&](auto type) { attention_cpu(arguments.input<decltype(type)>(edges), out); });
  stack[0] = out.release();
}

}  // namespace torchmdnet
