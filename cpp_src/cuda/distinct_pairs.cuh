// The unordered pairs behind the directed edges of a full list: each once, and for every edge the row of its pair.
//
// Of an edge and its reverse one is forward: its sender is the higher atom, or, between an atom and its own images, its
// shift is forward (is_forward). Forward edges get their rows in order, and are listed by their sender, in any order:
// an atom finds the rows of its other edges in its own list, which a warp holds 32 entries at a time.
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

  int64_t* rows;  // pack_counts of the edges of each atom, then of those of the atoms before it
  int64_t* tiles;
  int32_t* num_incoming;
  int2* incoming;  // (receiver, row) of forward edges by their sender

  TMD_SHARED int64_t num_self_rows() const { return loop && num_atoms > 0; }
  TMD_SHARED int64_t num_pairs() const {
    const int64_t num_others = num_edges - (loop ? num_atoms : 0);
    return (num_others > 0 ? num_others / 2 : 0) + num_self_rows() + padded;
  }
};

// Returns the bytes of the workspace behind `base`.
inline int64_t lay_out(Distinct& d, char* base) {
  Workspace space(base);
  space.take(d.rows, d.num_atoms);
  space.take(d.tiles, divide_up(d.num_atoms, kTile) + 1);
  space.take(d.num_incoming, d.num_atoms);
  space.take(d.incoming, d.num_pairs());
  return space.size();
}

// Numbers of forward edges and of reverse ones in one number, so that one scan adds up both.
__device__ inline int64_t pack_counts(int32_t forward, int32_t reverse) { return (int64_t(reverse) << 32) + forward; }
__device__ inline int32_t num_forward(int64_t counts) { return static_cast<int32_t>(counts); }
__device__ inline int32_t num_reverse(int64_t counts) { return static_cast<int32_t>(counts >> 32); }

// Where the list of atom j begins and what it must not reach: it has room for as many as the atom has reverse edges.
struct IncomingRange {
  int32_t begin, end;
};
__device__ inline IncomingRange incoming_range(const Distinct& d, int64_t j) {
  const int32_t room = static_cast<int32_t>(d.num_pairs());
  const int32_t end = j + 1 < d.num_atoms ? num_reverse(d.rows[j + 1]) : room;
  return {num_reverse(d.rows[j]), end < room ? end : room};
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

__device__ inline void count_rows(const Distinct& d) {
  for (int64_t i = grid_thread() / kWarp; i < d.num_atoms; i += grid_threads() / kWarp) {
    int64_t count = 0;
    for_row(d, i, [&](int64_t, bool is_edge, EdgeKind kind, int32_t) {
      count += pack_counts(kind.forward, is_edge && !kind.forward && !kind.self);
    });
    count = warp_sum(count);
    if (lane_of_thread() != 0) continue;
    d.rows[i] = count;
    d.num_incoming[i] = 0;
  }
}

// A block a tile: from the sizes of the rows to where those of each atom begin.
__device__ inline void start_rows(const Distinct& d) {
  const int64_t tile = blockIdx.x, before = sum_range(d.tiles, 0, tile);
  scan_range(d.rows, tile * kTile, tile_end(tile, d.num_atoms), before,
             [&](int64_t i, int64_t first) { d.rows[i] = first; });
}

// Rows without a pair, and edges that are padding, belong to the last row, whose edge is padding if any is.
__device__ inline void write_unused(const Distinct& d, int64_t num_used, int64_t thread, int64_t num_threads) {
  const int64_t num_pairs = d.num_pairs();
  const int32_t last_edge = d.num_edges > 0 ? static_cast<int32_t>(d.num_edges - 1) : 0;
  const int32_t last_pair = num_pairs > 0 ? static_cast<int32_t>(num_pairs - 1) : 0;
  for (int64_t p = num_used + thread; p < num_pairs; p += num_threads) d.first[p] = last_edge;
  for (int64_t e = d.row_ptr[d.num_atoms] + thread; e < d.num_edges; e += num_threads) d.pair[e] = last_pair;
}

// Puts a forward edge on the list of its sender. One too many, or of no atom, has no reverse edge.
__device__ inline void list_forward(const Distinct& d, int64_t receiver, int32_t sender, int32_t row) {
  if (!is_index(sender, d.num_atoms)) return;
  const IncomingRange range = incoming_range(d, sender);
  const int32_t place = atomicAdd(d.num_incoming + sender, 1);
  if (place < range.end - range.begin) d.incoming[range.begin + place] = {static_cast<int32_t>(receiver), row};
}

// Forward edges and self pairs. Where there are not as many reverse edges as forward ones, no forward edge gets a row.
__device__ inline void number_forward(const Distinct& d) {
  const int64_t counts = sum_range(d.tiles, 0, divide_up(d.num_atoms, kTile));
  const bool is_full = num_forward(counts) == num_reverse(counts);
  for (int64_t i = grid_thread() / kWarp; i < d.num_atoms; i += grid_threads() / kWarp) {
    const int32_t start = static_cast<int32_t>(d.num_self_rows()) + num_forward(d.rows[i]);
    for_row(d, i, [&](int64_t e, bool is_edge, EdgeKind kind, int32_t num_before) {
      if (!is_edge || !(kind.self || kind.forward)) return;
      const int32_t row = kind.self ? 0 : start + num_before;
      const bool has_row = (kind.self || is_full) && row < d.num_pairs();
      d.pair[e] = has_row ? row : -1;
      if (!kind.forward || !has_row) return;
      d.first[row] = static_cast<int32_t>(e);
      list_forward(d, i, d.sender[e], row);
    });
  }
  // As many as were counted: after a fault there are rows without an edge.
  const int64_t num_used = (is_full ? num_forward(counts) : 0) + d.num_self_rows();
  if (d.num_self_rows() && grid_thread() == 0) d.first[0] = 0;
  write_unused(d, num_used, grid_thread(), grid_threads());
}

// Whether edge e is the reverse of the first edge of a row with the same two atoms.
__device__ inline bool is_reverse(const Distinct& d, int64_t e, int32_t row) {
  if (!d.shift) return true;
  const int32_t *a = d.shift + 3 * e, *b = d.shift + 3 * int64_t(d.first[row]);
  return !((a[0] + b[0]) | (a[1] + b[1]) | (a[2] + b[2]));
}

// The row of a lane's edge e from `sender`, among all that atom i has on its list; -1 if it is on none, or is not
// wanted. All lanes look together at each entry.
__device__ inline int32_t find_row(const Distinct& d, int64_t i, int64_t e, int32_t sender, bool wanted) {
  const IncomingRange range = incoming_range(d, i);
  const int32_t listed = d.num_incoming[i], room = range.end - range.begin, count = listed < room ? listed : room;
  int32_t found = -1;
  for (int32_t base = 0; base < count; base += kWarp) {
    if (!__ballot_sync(kAllLanes, wanted && found < 0)) break;
    const int32_t own = base + lane_of_thread();
    const int2 entry = own < count ? d.incoming[range.begin + own] : int2{-1, -1};
    for (int k = 0; k < kWarp && base + k < count; ++k) {
      const int32_t atom = __shfl_sync(kAllLanes, entry.x, k), row = __shfl_sync(kAllLanes, entry.y, k);
      if (wanted && found < 0 && atom == sender && is_reverse(d, e, row)) found = row;
    }
  }
  return found;
}

// The other edges.
__device__ inline void number_reverse(const Distinct& d) {
  for (int64_t i = grid_thread() / kWarp; i < d.num_atoms; i += grid_threads() / kWarp) {
    for_row(d, i, [&](int64_t e, bool is_edge, EdgeKind kind, int32_t) {
      const bool wanted = is_edge && !kind.self && !kind.forward;
      const int32_t row = find_row(d, i, e, wanted ? d.sender[e] : -1, wanted);
      if (wanted) d.pair[e] = row;
    });
  }
}

static __global__ void count_rows_kernel(Distinct d) { count_rows(d); }
static __global__ void start_rows_kernel(Distinct d) { start_rows(d); }
static __global__ void number_forward_kernel(Distinct d) { number_forward(d); }
static __global__ void number_reverse_kernel(Distinct d) { number_reverse(d); }

// All of it, in one block, of no more atoms than a tile has.
static __global__ void __launch_bounds__(kLargeBlock) distinct_pairs_kernel(Distinct d) {
  count_rows(d);
  __syncthreads();
  const int64_t sum = sum_range(d.rows, 0, d.num_atoms);
  if (threadIdx.x == 0) d.tiles[0] = sum;
  __syncthreads();
  start_rows(d);
  __syncthreads();
  number_forward(d);
  __syncthreads();
  number_reverse(d);
}

// One launch up to `few` atoms, five beyond.
inline void distinct_pairs(const Distinct& d, int64_t few, int threads, Stream stream) {
  if (d.num_atoms <= few) {
    TMD_LAUNCH(distinct_pairs_kernel, 1, kLargeBlock, stream, d);
    return;
  }
  const int64_t warps = blocks_for(d.num_atoms * kWarp, threads);
  const int64_t tiles = d.num_atoms ? divide_up(d.num_atoms, kTile) : 1;
  TMD_LAUNCH(count_rows_kernel, warps, threads, stream, d);
  TMD_LAUNCH(sum_tiles<int64_t>, tiles, threads, stream, d.rows, d.num_atoms, d.tiles);
  TMD_LAUNCH(start_rows_kernel, tiles, threads, stream, d);
  TMD_LAUNCH(number_forward_kernel, warps, threads, stream, d);
  TMD_LAUNCH(number_reverse_kernel, warps, threads, stream, d);
}

}  // namespace torchmdnet
