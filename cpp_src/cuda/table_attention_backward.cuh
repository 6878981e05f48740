// The derivative of table_attention.cuh; see cpu/table_attention_backward.cpp.
//
// Edges that come in to an atom tell all that it receives and all that it sends: an edge and its reverse share their
// row of the table, and their directions are opposite.
#pragma once
#include "head_weights.cuh"
#include "slope_sums.cuh"
#include "table_attention.cuh"

namespace torchmdnet {

// By the results: scalar (N, C), vector (N, 3, C). By the inputs: as they are.
template <class T>
struct AttentionGradients {
  const T *scalar, *vector;
  T *to_query, *to_key, *to_value, *to_vector, *to_direction;
};

// What is summed over an atom's edges: derivatives by query, key and first and last value, and sum of G w2.
enum { kQuery, kKey, kValue1, kValue3, kCarried, kSums = kCarried + kAxes };

// What the values take of an atom, but for the first one: V channels.
template <class T, int V>
struct Carrying {
  Pack<T, V> value2, value3, vector[kAxes], grad[kAxes];

  __device__ Carrying(const TableEdges<T>& d, const Attention<T>& in, const T* grad_vector, int64_t i, int64_t channel)
      : value2(read_row<V>(d, in.value, i * kValues + 1, channel)),
        value3(read_row<V>(d, in.value, i * kValues + 2, channel)) {
    for (int x = 0; x < kAxes; ++x) vector[x] = read_row<V>(d, in.vector, i * kAxes + x, channel);
    for (int x = 0; x < kAxes; ++x) grad[x] = read_row<V>(d, grad_vector, i * kAxes + x, channel);
  }
};

// Writes the derivatives by what the atom has.
template <class T, int V>
__device__ void write_atom(const TableEdges<T>& d, const AttentionGradients<T>& to, const Carrying<T, V>& own,
                           const Pack<T, V> (&sum)[kSums], int64_t i, int64_t channel) {
  const int64_t C = d.channels;
  write_pack(to.to_query + i * C + channel, sum[kQuery]);
  write_pack(to.to_key + i * C + channel, sum[kKey]);
  Pack<T, V> value2 = {}, vector[kAxes];
  for (int v = 0; v < V; ++v)
    for (int x = 0; x < kAxes; ++x) {
      value2.v[v] += sum[kCarried + x].v[v] * own.vector[x].v[v];
      vector[x].v[v] = sum[kCarried + x].v[v] * own.value2.v[v];
    }
  T* const to_value = to.to_value + i * kValues * C + channel;
  write_pack(to_value, sum[kValue1]);
  write_pack(to_value + C, value2);
  write_pack(to_value + 2 * C, sum[kValue3]);
  for (int x = 0; x < kAxes; ++x) write_pack(to.to_vector + (i * kAxes + x) * C + channel, vector[x]);
}

// What a warp knows while it goes through the edges of atom i for one chunk of channels.
template <class T, int V>
struct AttentionChunk {
  const TableEdges<T>& d;
  const Attention<T>& in;
  const AttentionGradients<T>& to;
  int64_t i;
  HeadChannels<V> channel;
  Weighing<T, V> weighing;
  Carrying<T, V> carrying;
  Pack<T, V> sum[kSums] = {};

  __device__ AttentionChunk(const TableEdges<T>& d, const Attention<T>& in, const AttentionGradients<T>& to, int64_t i,
                            int64_t chunk)
      : d(d),
        in(in),
        to(to),
        i(i),
        channel(in.heads, chunk),
        weighing(d, in, to.scalar, i, channel.first),
        carrying(d, in, to.vector, i, channel.first) {}

  // Adds what edge e gives to the sums. Returns the derivatives by its coordinate, in lanes 0 to 7, and by the
  // components of its direction, in eight lanes each.
  __device__ T add(int64_t e, const TableEdge<T>& edge) {
    const T t = edge.place.t;
    const int64_t j = edge.sender;
    const TableRow<T, V, kColumns> row(d, edge.place.interval, channel.first);
    const Weighing<T, V> other(d, in, to.scalar, j, channel.first);
    const Pack<T, V> value3 = read_row<V>(d, in.value, j * kValues + 2, channel.first);
    Pack<T, V> grad[kAxes];
    T u[kAxes], share[1 + kAxes] = {};
    for (int x = 0; x < kAxes; ++x) grad[x] = read_row<V>(d, to.vector, j * kAxes + x, channel.first);
    for (int x = 0; x < kAxes; ++x) u[x] = __ldg(in.direction + e * kAxes + x);
    // All that the weights are not needed for comes before the lanes meet, so that little is kept meanwhile.
    HeadWeight<T> of_edge, of_reverse;
    of_edge.add(weighing, other, row, t);
    of_reverse.add(other, weighing, row, t);
    Pack<T, V> key, query, scalar;
    T by_score = 0, by_weight = 0;
    for (int v = 0; v < V; ++v) {
      key.v[v] = other.key.v[v] * row.value(kKeys, v, t);
      query.v[v] = other.query.v[v] * row.value(kKeys, v, t);
      scalar.v[v] = other.grad.v[v] * row.value(1, v, t);
      by_score += row.slope(kKeys, v, t) * (other.query.v[v] * weighing.key.v[v]);
      by_weight += row.slope(1, v, t) * (other.grad.v[v] * weighing.value.v[v]);
      const T w2 = row.value(2, v, t), w3 = row.value(3, v, t);
      T along = 0, across = 0;
      for (int x = 0; x < kAxes; ++x) {
        sum[kCarried + x].v[v] += grad[x].v[v] * w2;
        along += grad[x].v[v] * carrying.vector[x].v[v];
        across -= grad[x].v[v] * u[x];  // the direction of the reverse
        share[1 + x] += carrying.grad[x].v[v] * (value3.v[v] * w3);
      }
      sum[kValue3].v[v] += across * w3;
      share[0] += row.slope(2, v, t) * (along * carrying.value2.v[v]) +
                  row.slope(3, v, t) * (across * carrying.value3.v[v]);
    }
    weigh_heads(d, in, to.scalar, i, edge, channel, of_edge, of_reverse);
    for (int v = 0; v < V; ++v) {
      sum[kQuery].v[v] += of_edge.grad * key.v[v];
      sum[kKey].v[v] += of_reverse.grad * query.v[v];
      sum[kValue1].v[v] += of_reverse.weight * scalar.v[v];
    }
    share[0] += of_reverse.grad * by_score + of_reverse.weight * by_weight;
    for (int n = 0; n <= kAxes; ++n) share[n] = channel.any ? share[n] : T(0);
    return sums_of_four(share);
  }
};

// A team of S warps an atom, which goes through the edges once for each chunk of channels. Padding gets zero.
template <int S, class T, int V>
__global__ void __launch_bounds__(kTableThreads, kAttentionBlocks)
    table_attention_backward_kernel(TableEdges<T> d, Attention<T> in, AttentionGradients<T> to, SlopeSums<T> to_s) {
  const int64_t chunks = in.heads.num_chunks();
  const int32_t shared = shared_pair(d);
  const int number = lane_of_thread() / 8 - 1;  // -1: the coordinate; else a component of the direction
  const bool writes = lane_of_thread() % 8 == 0;
  for (int64_t i = grid_team<S>(); i < d.num_atoms; i += grid_teams<S>()) {
    RowSlopes<T> slopes(to_s, shared);
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      AttentionChunk<T, V> of_chunk(d, in, to, i, chunk);
      for_edges<S>(d, i, [&](int64_t e, const TableEdge<T>& edge) {
        const T mine = of_chunk.add(e, edge);
        T* const at = to.to_direction + e * kAxes + number;
        if (writes && number >= 0) *at = chunk == 0 ? mine : *at + mine;
        if (writes && number < 0) slopes.add(e, edge.pair, mine, chunk == 0, chunk == chunks - 1);
      });
      sum_team<S>(of_chunk.sum);
      if (rank_in_team<S>() == 0 && of_chunk.channel.any)
        write_atom(d, to, of_chunk.carrying, of_chunk.sum, i, of_chunk.channel.first);
    }
    if (lane_of_thread() == 0) slopes.finish(i * S + rank_in_team<S>());
  }
  const int64_t num_filled = chunks > 0 ? d.row_ptr[d.num_atoms] : 0;
  for (int64_t n = num_filled * kAxes + grid_thread(); n < d.num_edges * kAxes; n += grid_threads())
    to.to_direction[n] = 0;
}

template <class T, int V>
void table_attention_backward(const TableEdges<T>& d, const Attention<T>& in, const AttentionGradients<T>& to,
                              const SlopeSums<T>& to_s, Stream stream) {
  clear_slopes(d, to_s, stream);
  for_team(to_s.team, [&](auto team) {
    const int64_t threads = to_s.num_warps(d) * kWarp, wanted = threads > d.num_edges ? threads : d.num_edges;
    TMD_LAUNCH((table_attention_backward_kernel<team.value, T, V>), blocks_for(wanted, kTableThreads), kTableThreads,
               stream, d, in, to, to_s);
  });
  TMD_LAUNCH(sum_shared_pair_kernel<T>, 1, kSumThreads, stream, d, to_s);
}

}  // namespace torchmdnet
