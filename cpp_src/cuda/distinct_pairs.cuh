// The unordered pairs behind the directed edges of a full list: each once, and for every edge the row of its pair.
//
// Of an edge and its reverse one is forward: its sender is the higher atom, or, between an atom and its own images, its
// shift is forward (is_forward). Forward edges get their rows in order; a reverse one is looked up in the row of its
// sender.
#pragma once
#include "../neighbor_grid.h"
#include "scan.cuh"
#include "workspace.cuh"

namespace torchmdnet {

// Edges e of [row_ptr[i], row_ptr[i + 1]) have receiver i, with loop the first is the atom itself; those after the last
// row are padding. shift is null where there are no cells.
struct Distinct {
  const int32_t *sender, *shift, *row_ptr;
  int64_t num_atoms, num_edges;
  bool loop, padded;
  int32_t *first, *pair;

  int32_t* row_size;  // forward edges of each atom, then where their pairs begin
  int64_t* tiles;

  TMD_SHARED int64_t num_self_rows() const { return loop && num_atoms > 0; }
  TMD_SHARED int64_t num_pairs() const {
    const int64_t num_others = num_edges - (loop ? num_atoms : 0);
    return (num_others > 0 ? num_others / 2 : 0) + num_self_rows() + padded;
  }
};

// Returns the bytes of the workspace behind `base`.
inline int64_t lay_out(Distinct& d, char* base) {
  Workspace space(base);
  space.take(d.row_size, d.num_atoms);
  space.take(d.tiles, divide_up(d.num_atoms, kTile) + 1);
  return space.size();
}

struct EdgeKind {
  bool self, forward;
};

__device__ inline EdgeKind kind_of(const Distinct& d, int64_t receiver, int64_t e) {
  const int32_t sender = d.sender[e];
  if (sender != receiver) return {false, sender > receiver};
  const int32_t* s = d.shift ? d.shift + 3 * e : nullptr;
  if (!s || !(s[0] | s[1] | s[2])) return {true, false};
  return {false, is_forward(s[0], s[1], s[2])};
}

// A warp a row. Calls visit(e, whether it is an edge, its kind, forward edges of the row before it) in all lanes.
template <class Visit>
__device__ void for_row(const Distinct& d, int64_t i, Visit visit) {
  const int lane = lane_of_thread();
  int32_t num_before = 0;
  const int64_t end = d.row_ptr[i + 1];
  for (int64_t base = d.row_ptr[i]; base < end; base += kWarp) {
    const int64_t e = base + lane;
    const EdgeKind kind = e < end ? kind_of(d, i, e) : EdgeKind{false, false};
    const unsigned forward = __ballot_sync(kAllLanes, kind.forward);
    visit(e, e < end, kind, num_before + __popc(forward & ((1u << lane) - 1u)));
    num_before += __popc(forward);
  }
}

static __global__ void count_forward_kernel(Distinct d) {
  for (int64_t i = grid_thread() / kWarp; i < d.num_atoms; i += grid_threads() / kWarp) {
    int32_t count = 0;
    for_row(d, i, [&](int64_t, bool, EdgeKind kind, int32_t) { count += kind.forward; });
    for (int distance = kWarp / 2; distance > 0; distance /= 2) count += __shfl_xor_sync(kAllLanes, count, distance);
    if (lane_of_thread() == 0) d.row_size[i] = count;
  }
}

// A block a tile: from the sizes of the rows to the first pair of each.
static __global__ void start_pairs_kernel(Distinct d) {
  const int64_t tile = blockIdx.x, before = sum_range(d.tiles, 0, tile) + d.num_self_rows();
  scan_range(d.row_size, tile * kTile, tile_end(tile, d.num_atoms), before,
             [&](int64_t i, int64_t first) { d.row_size[i] = static_cast<int32_t>(first); });
}

// Rows without a pair, and edges that are padding, belong to the last row, whose edge is padding if any is.
__device__ inline void write_unused(const Distinct& d, int64_t num_used, int64_t thread, int64_t num_threads) {
  const int64_t num_pairs = d.num_pairs();
  const int32_t last_edge = d.num_edges > 0 ? static_cast<int32_t>(d.num_edges - 1) : 0;
  const int32_t last_pair = num_pairs > 0 ? static_cast<int32_t>(num_pairs - 1) : 0;
  for (int64_t p = num_used + thread; p < num_pairs; p += num_threads) d.first[p] = last_edge;
  for (int64_t e = d.row_ptr[d.num_atoms] + thread; e < d.num_edges; e += num_threads) d.pair[e] = last_pair;
}

// Forward edges and self pairs.
static __global__ void number_forward_kernel(Distinct d) {
  for (int64_t i = grid_thread() / kWarp; i < d.num_atoms; i += grid_threads() / kWarp) {
    const int32_t start = d.row_size[i];
    for_row(d, i, [&](int64_t e, bool is_edge, EdgeKind kind, int32_t num_before) {
      if (!is_edge || !(kind.self || kind.forward)) return;
      const int32_t row = kind.self ? 0 : start + num_before;
      d.pair[e] = row;
      if (kind.forward) d.first[row] = static_cast<int32_t>(e);
    });
  }
  const int64_t num_others = d.row_ptr[d.num_atoms] - (d.loop ? d.num_atoms : 0);
  if (d.num_self_rows() && grid_thread() == 0) d.first[0] = 0;
  write_unused(d, (num_others > 0 ? num_others / 2 : 0) + d.num_self_rows(), grid_thread(), grid_threads());
}

// Whether edge e of another row is the reverse of one from `receiver` with shift s.
__device__ inline bool is_reverse(const Distinct& d, int64_t e, int32_t receiver, const int32_t* s) {
  if (d.sender[e] != receiver) return false;
  if (!d.shift) return true;
  const int32_t* other = d.shift + 3 * e;
  return other[0] == -s[0] && other[1] == -s[1] && other[2] == -s[2];
}

// The edge of row `sender` that goes back to `receiver` from where an edge with shift s comes, or -1. All lanes look
// together, each at several edges at a time, which does not take longer than at one.
__device__ inline int64_t find_reverse(const Distinct& d, int32_t receiver, int32_t sender, const int32_t* s) {
  constexpr int kLooks = 4;
  if (sender < 0 || sender >= d.num_atoms) return -1;
  const int64_t end = d.row_ptr[sender + 1];
  for (int64_t base = d.row_ptr[sender]; base < end; base += kLooks * kWarp) {
    bool found[kLooks];
    for (int look = 0; look < kLooks; ++look) {
      const int64_t e = base + look * kWarp + lane_of_thread();
      found[look] = e < end && is_reverse(d, e, receiver, s);
    }
    for (int look = 0; look < kLooks; ++look) {
      const unsigned hits = __ballot_sync(kAllLanes, found[look]);
      if (hits) return base + look * kWarp + __ffs(static_cast<int>(hits)) - 1;
    }
  }
  return -1;
}

// Reverse edges, one at a time, after their forward ones.
static __global__ void number_reverse_kernel(Distinct d) {
  const int lane = lane_of_thread();
  for (int64_t i = grid_thread() / kWarp; i < d.num_atoms; i += grid_threads() / kWarp) {
    const int64_t end = d.row_ptr[i + 1];
    for (int64_t base = d.row_ptr[i]; base < end; base += kWarp) {
      const int64_t own = base + lane;
      const EdgeKind kind = own < end ? kind_of(d, i, own) : EdgeKind{true, false};
      unsigned todo = __ballot_sync(kAllLanes, !kind.self && !kind.forward);
      for (; todo; todo &= todo - 1) {
        const int64_t e = base + __ffs(static_cast<int>(todo)) - 1;
        const int32_t* shift = d.shift ? d.shift + 3 * e : nullptr;
        const int64_t reverse = find_reverse(d, static_cast<int32_t>(i), d.sender[e], shift);
        if (lane == 0) d.pair[e] = reverse < 0 ? -1 : d.pair[reverse];
      }
    }
  }
}

inline void distinct_pairs(const Distinct& d, int threads, Stream stream) {
  const int64_t warps = blocks_for(d.num_atoms * kWarp, threads);
  const int64_t tiles = d.num_atoms ? divide_up(d.num_atoms, kTile) : 1;
  TMD_LAUNCH(count_forward_kernel, warps, threads, stream, d);
  TMD_LAUNCH(sum_tiles<int32_t>, tiles, threads, stream, d.row_size, d.num_atoms, d.tiles);
  TMD_LAUNCH(start_pairs_kernel, tiles, threads, stream, d);
  TMD_LAUNCH(number_forward_kernel, warps, threads, stream, d);
  TMD_LAUNCH(number_reverse_kernel, warps, threads, stream, d);
}

}  // namespace torchmdnet
