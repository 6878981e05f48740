// The pairs of a longer list that are within a shorter cutoff at new positions; see cpu/refresh_pairs.cpp.
#pragma once
#include "../refresh_pairs.h"
#include "scan.cuh"
#include "workspace.cuh"

namespace torchmdnet {

// What is wrong with the longer list.
enum RefreshFault : int32_t { kRowsMisfit = 1, kRowsDescend = 2, kUnknownAtom = 4, kUnknownSystem = 8 };

template <class T>
struct Refresh {
  PairGeometry<T> geometry;
  const int32_t* row_ptr;
  int64_t num_atoms, num_rows, num_systems;

  // A bit for each pair of the longer list: whether it is kept. Decided once, so that the kernel that counts and the
  // kernel that writes agree whatever the compiler makes of the arithmetic.
  unsigned* kept;
  int32_t* row_size;
  int64_t* tiles;

  // Results; the arrays of pairs are made when their length is known.
  int32_t* kept_row_ptr;
  int32_t* status;  // number of pairs kept, and faults
  T *vector, *distance;
  int32_t *receiver, *sender, *shift;
};

// Returns the bytes of the workspace behind `base`: 8 an atom, and a bit a pair.
template <class T>
int64_t lay_out(Refresh<T>& r, char* base) {
  Workspace space(base);
  space.take(r.kept, r.num_rows / kWarp + r.num_atoms);
  space.take(r.row_size, r.num_atoms);
  space.take(r.tiles, divide_up(r.num_atoms, kTile) + 1);
  space.take(r.status, 2);
  return space.size();
}

// Rows of a longer list, and what is wrong with them: a row that is none is empty.
template <class T>
__device__ int32_t row_of(const Refresh<T>& r, int64_t i, int64_t& begin, int64_t& end) {
  begin = r.row_ptr[i];
  end = r.row_ptr[i + 1];
  int32_t faults = (i == 0 && begin != 0) || end > r.num_rows ? kRowsMisfit : 0;
  if (begin > end) faults |= kRowsDescend;
  if (r.geometry.shift && !(r.geometry.batch[i] >= 0 && r.geometry.batch[i] < r.num_systems)) faults |= kUnknownSystem;
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
  for (int64_t i = grid_thread() / kWarp; i < r.num_atoms; i += grid_threads() / kWarp) {
    int64_t begin, end;
    int32_t faults = row_of(r, i, begin, end), count = 0;
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
    if (faults) atomicOr(r.status + 1, faults);
  }
}

// A block a tile of atoms.
template <class T>
__global__ void place_rows_kernel(Refresh<T> r) {
  const int64_t tile = blockIdx.x, end = tile_end(tile, r.num_atoms);
  const int64_t before = sum_range(r.tiles, 0, tile);
  if (tile == 0 && threadIdx.x == 0) r.kept_row_ptr[0] = 0;
  scan_range(r.row_size, tile * kTile, end, before, [&](int64_t i, int64_t first) {
    const int32_t last = static_cast<int32_t>(first + r.row_size[i]);
    r.kept_row_ptr[i + 1] = last;
    if (i == r.num_atoms - 1) r.status[0] = last;
  });
}

// A warp a row, a lane a pair of the longer list: those that are kept move together.
template <class T>
__global__ void write_kept_kernel(Refresh<T> r) {
  const int lane = lane_of_thread();
  for (int64_t i = grid_thread() / kWarp; i < r.num_atoms; i += grid_threads() / kWarp) {
    const int64_t begin = r.row_ptr[i], end = r.row_ptr[i + 1];
    const unsigned* const words = words_of(r, i, begin);
    int64_t first = r.kept_row_ptr[i];
    for (int64_t base = begin; base < end; base += kWarp) {
      const unsigned kept = words[(base - begin) / kWarp];
      const int64_t e = base + lane, at = first + __popc(kept & ((1u << lane) - 1u));
      first += __popc(kept);
      if (!(kept >> lane & 1u)) continue;
      T vector[3];
      look_at(r.geometry, i, e, vector);
      for (int x = 0; x < 3; ++x) r.vector[3 * at + x] = vector[x];
      r.distance[at] = sqrt(squared_length(vector));
      r.receiver[at] = static_cast<int32_t>(i);
      r.sender[at] = r.geometry.sender[e];
      for (int x = 0; r.shift && x < 3; ++x) r.shift[3 * at + x] = r.geometry.shift[3 * e + x];
    }
  }
}

// Up to the number of pairs.
template <class T>
void find_kept(const Refresh<T>& r, int threads, Stream stream) {
  check_cuda(cudaMemsetAsync(r.status, 0, 2 * sizeof(int32_t), stream), "memset");
  TMD_LAUNCH(count_kept_kernel<T>, blocks_for(r.num_atoms * kWarp, threads), threads, stream, r);
  const int64_t num_tiles = divide_up(r.num_atoms, kTile);
  if (num_tiles > 1)
    TMD_LAUNCH(sum_tiles<int32_t>, num_tiles, threads, stream, static_cast<const int32_t*>(r.row_size), r.num_atoms,
               r.tiles);
  TMD_LAUNCH(place_rows_kernel<T>, num_tiles > 1 ? num_tiles : 1, threads, stream, r);
}

template <class T>
void write_kept(const Refresh<T>& r, int threads, Stream stream) {
  TMD_LAUNCH(write_kept_kernel<T>, blocks_for(r.num_atoms * kWarp, threads), threads, stream, r);
}

}  // namespace torchmdnet
