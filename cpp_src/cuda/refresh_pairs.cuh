// The pairs of a longer list that are within a shorter cutoff at new positions; see cpu/refresh_pairs.cpp.
#pragma once
#include "../refresh_pairs.h"
#include "padded_rows.cuh"
#include "scan.cuh"
#include "workspace.cuh"

namespace torchmdnet {

template <class T>
struct Refresh {
  PairGeometry<T> geometry;
  KnownGeometry<T> known;
  const T* box;  // as long as known.box
  const int32_t* row_ptr;
  int64_t num_atoms, num_rows, num_systems;
  double cutoff;

  // A bit for each pair of the longer list: whether it is kept. Decided once, so that the kernel that counts and the
  // kernel that writes agree whatever the compiler makes of the arithmetic.
  unsigned* kept;
  int32_t* row_size;
  int64_t* tiles;
  int32_t* faults;
};

// Returns the bytes of the workspace behind `base`: 8 an atom, and a bit a pair.
template <class T>
int64_t lay_out(Refresh<T>& r, char* base) {
  Workspace space(base);
  space.take(r.kept, r.num_rows / kWarp + r.num_atoms);
  space.take(r.row_size, r.num_atoms);
  space.take(r.tiles, divide_up(r.num_atoms, kTile) + 1);
  space.take(r.faults, 1);
  return space.size();
}

// Rows of a longer list, and what is wrong with them: a row that is none is empty.
template <class T>
__device__ int32_t row_of(const Refresh<T>& r, int64_t i, int64_t& begin, int64_t& end) {
  begin = r.row_ptr[i];
  end = r.row_ptr[i + 1];
  int32_t faults = (i == 0 && begin != 0) || end > r.num_rows ? kRowsMisfit : 0;
  if (begin > end) faults |= kRowsDescend;
  if (r.geometry.shift && !(r.geometry.batch[i] >= 0 && r.geometry.batch[i] < r.num_systems)) faults |= kBadBatch;
  if (faults || begin < 0) begin = end = 0;
  return faults;
}

// The words of one row's bits. No two rows share one: the whole words before `begin` and one more for each row before
// are at least as many as those rows take.
template <class T>
__device__ unsigned* words_of(const Refresh<T>& r, int64_t i, int64_t begin) {
  return r.kept + begin / kWarp + i;
}

// A warp a row, a lane a pair.
template <class T>
__global__ void count_kept_kernel(Refresh<T> r) {
  const int lane = lane_of_thread();
  // Not bit by bit: a cell that holds -0 has not changed.
  for (int64_t n = grid_thread(); n < r.known.num_box; n += grid_threads())
    if (!(r.box[n] == r.known.box[n])) atomicOr(r.faults, static_cast<int32_t>(kStaleList));
  for (int64_t i = grid_thread() / kWarp; i < r.num_atoms; i += grid_threads() / kWarp) {
    int64_t begin, end;
    int32_t faults = row_of(r, i, begin, end) | fault_of_atom(r.geometry.pos, r.known, i), count = 0;
    unsigned* const words = words_of(r, i, begin);
    for (int64_t base = begin; base < end; base += kWarp) {
      const int64_t e = base + lane;
      const bool known = e < end && is_index(r.geometry.sender[e], r.num_atoms);
      T vector[3];
      const unsigned kept = __ballot_sync(kAllLanes, known && look_at(r.geometry, i, e, vector));
      if (__ballot_sync(kAllLanes, e < end && !known)) faults |= kUnknownAtom;
      if (lane == 0) words[(base - begin) / kWarp] = kept;
      count += __popc(kept);
    }
    if (lane != 0) continue;
    r.row_size[i] = count;
    if (faults) atomicOr(r.faults, faults);
  }
}

// A block a tile of atoms. Where there is a fault, or too little room, the atoms share rows of NaN.
template <class T>
__global__ void place_rows_kernel(Refresh<T> r, Rows<T> rows) {
  const int64_t tile = blockIdx.x, num_tiles = gridDim.x, end = tile_end(tile, r.num_atoms);
  int64_t before = 0, num_kept;
  if (num_tiles > 1) {
    before = sum_range(r.tiles, 0, tile);
    num_kept = before + sum_range(r.tiles, tile, num_tiles);
  } else {
    num_kept = sum_range(r.row_size, 0, r.num_atoms);
  }
  int32_t faults = *r.faults;
  if (!faults && rows.capacity >= 0 && num_kept > rows.capacity) faults = kOverflow;
  if (tile == 0 && threadIdx.x == 0) {
    rows.row_ptr[0] = 0;
    rows.status[0] = static_cast<int32_t>(num_kept);
    rows.status[1] = faults;
  }
  scan_range(r.row_size, tile * kTile, end, before, [&](int64_t i, int64_t first) {
    rows.row_ptr[i + 1] = faults ? poisoned_row(i + 1, r.num_atoms, rows.capacity)
                                 : static_cast<int32_t>(first + r.row_size[i]);
  });
}

// A warp a row, a lane a pair of the longer list: those that are kept move together.
template <class T>
__global__ void write_kept_kernel(Refresh<T> r, Rows<T> rows) {
  const int lane = lane_of_thread();
  const bool failed = rows.status[1] != 0;
  for (int64_t i = grid_thread() / kWarp; !failed && i < r.num_atoms; i += grid_threads() / kWarp) {
    const int64_t begin = r.row_ptr[i], end = r.row_ptr[i + 1];
    const unsigned* const words = words_of(r, i, begin);
    int64_t first = rows.row_ptr[i];
    for (int64_t base = begin; base < end; base += kWarp) {
      const unsigned kept = words[(base - begin) / kWarp];
      const int64_t e = base + lane, at = first + __popc(kept & ((1u << lane) - 1u));
      first += __popc(kept);
      if (!(kept >> lane & 1u)) continue;
      T vector[3];
      look_at(r.geometry, i, e, vector);
      for (int x = 0; x < 3; ++x) rows.vector[3 * at + x] = vector[x];
      rows.distance[at] = sqrt(squared_length(vector));
      rows.receiver[at] = static_cast<int32_t>(i);
      rows.sender[at] = r.geometry.sender[e];
      const int32_t* shift = r.geometry.shift ? r.geometry.shift + 3 * e : nullptr;
      for (int x = 0; rows.shift && x < 3; ++x) rows.shift[3 * at + x] = shift ? shift[x] : 0;
    }
  }
  write_padding(rows, r.num_atoms, r.cutoff, failed);
}

// Up to the number of pairs: fills rows.row_ptr and rows.status.
template <class T>
void find_kept(const Refresh<T>& r, const Rows<T>& rows, int threads, Stream stream) {
  check_cuda(cudaMemsetAsync(r.faults, 0, sizeof(int32_t), stream), "memset");
  TMD_LAUNCH(count_kept_kernel<T>, blocks_for(r.num_atoms * kWarp, threads), threads, stream, r);
  const int64_t num_tiles = divide_up(r.num_atoms, kTile);
  if (num_tiles > 1)
    TMD_LAUNCH(sum_tiles<int32_t>, num_tiles, threads, stream, static_cast<const int32_t*>(r.row_size), r.num_atoms,
               r.tiles);
  TMD_LAUNCH(place_rows_kernel<T>, num_tiles > 1 ? num_tiles : 1, threads, stream, r, rows);
}

// Fills all arrays of the rows, rows.capacity long.
template <class T>
void write_kept(const Refresh<T>& r, const Rows<T>& rows, int threads, Stream stream) {
  const int64_t work = r.num_atoms * kWarp > rows.capacity ? r.num_atoms * kWarp : rows.capacity;
  TMD_LAUNCH(write_kept_kernel<T>, blocks_for(work, threads), threads, stream, r, rows);
}

}  // namespace torchmdnet
