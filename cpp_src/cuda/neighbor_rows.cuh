// From sorted atoms to the list: a warp counts the neighbours of an atom, row sizes are summed up, a warp writes them.
//
// A warp compares its atom with 32 slots at a time, read in order from three arrays of coordinates that all warps of a
// bin share in the caches; those within the cutoff are written side by side. Counting and writing take the same
// decisions: the test is spelled in fused operations, which leave the compiler no choice of rounding.
#pragma once
#include "neighbor_search.cuh"
#include "padded_rows.cuh"

namespace torchmdnet {

// 32 candidates of an atom, one a lane.
template <class T>
struct Candidates {
  unsigned hits;  // lanes whose candidate is a neighbour
  int32_t slot;
  int32_t image[3];
  T vector[3], squared;
};

template <class T>
__device__ T squared_norm(const T* v) {
  return fma(v[2], v[2], fma(v[1], v[1], v[0] * v[0]));
}

// The bins within reach along the last axis, for one place along the others: their slots one after another, those of
// each image of the row in turn. Place v is slot first_slot + v % length of image `image` + (0, 0, v / length).
struct Line {
  int32_t first_slot, length;  // of the whole row of bins
  int32_t image[3];
  uint32_t begin, end;         // places
  bool has_images;             // more than one

  __device__ int32_t slot(uint32_t v, int32_t& image_c) const {
    const uint32_t cells = has_images ? v / length : 0;
    image_c = image[2] + static_cast<int32_t>(cells);
    return first_slot + static_cast<int32_t>(v - cells * length);
  }
};

// A half list goes forward only: not to lower images along the last axis, nor to lower slots in the atom's own image.
__device__ inline void skip_backward(Line& line, int32_t slot) {
  if (line.image[2] < 0) {
    line.begin = static_cast<uint32_t>(-line.image[2]) * static_cast<uint32_t>(line.length);
  } else if (!line.has_images && line.image[2] == 0) {
    const bool home = !(line.image[0] | line.image[1]);
    const int32_t behind = slot + 1 - line.first_slot;
    if (home && behind > 0 && static_cast<uint32_t>(behind) > line.begin) line.begin = static_cast<uint32_t>(behind);
    if (!home && !is_forward(line.image[0], line.image[1], 0)) line.begin = line.end;
  }
}

// The line at bins a and b, in images image_a and image_b, around bin c.
__device__ inline Line make_line(const Grid& grid, const int32_t* start, const int32_t* image, const int32_t* bin,
                                 int32_t c) {
  const int32_t num = grid.num[2], row = bin_number(grid, bin[0], bin[1], 0);
  int32_t low = c - grid.reach[2], high = c + grid.reach[2], first = 0, last = 0;
  if (grid.repeats[2]) {
    first = floor_divide(low, num);
    last = floor_divide(high, num);
  } else {
    low = low > 0 ? low : 0;
    high = high < num ? high : num - 1;
  }
  Line line{start[row], start[row + num] - start[row], {image[0], image[1], first}, 0, 0, first != last};
  line.begin = static_cast<uint32_t>(start[row + low - first * num] - line.first_slot);
  line.end = static_cast<uint32_t>(last - first) * static_cast<uint32_t>(line.length) +
             static_cast<uint32_t>(start[row + high - last * num + 1] - line.first_slot);
  return line;
}

// Calls visit for all candidates on a line, 32 at a time. The lanes of a warp call it together.
template <class T, class Visit>
__device__ void for_candidates_on(const Search<T>& s, const Lattice& lattice, const Line& line, int32_t slot,
                                  Visit visit) {
  const int lane = lane_of_thread();
  const T own[3] = {s.x[slot], s.y[slot], s.z[slot]};
  T shift[3] = {0, 0, 0};
  if (!line.has_images && (line.image[0] | line.image[1] | line.image[2]))
    translation(lattice, line.image[0], line.image[1], line.image[2], shift);
  for (uint32_t base = line.begin; base < line.end; base += kWarp) {
    Candidates<T> found{0, 0, {line.image[0], line.image[1], 0}, {}, 0};
    bool near = false;
    if (base + lane < line.end) {
      int32_t& c = found.image[2];
      const int32_t j = found.slot = line.slot(base + lane, c);
      if (line.has_images) translation(lattice, found.image[0], found.image[1], c, shift);
      found.vector[0] = difference(own[0], s.x[j], shift[0]);
      found.vector[1] = difference(own[1], s.y[j], shift[1]);
      found.vector[2] = difference(own[2], s.z[j], shift[2]);
      found.squared = squared_norm(found.vector);
      const bool home = !(found.image[0] | found.image[1] | c);
      const bool is_pair = home ? (s.half ? j > slot : j != slot)
                                : !s.half || is_forward(found.image[0], found.image[1], c);
      near = is_pair && found.squared >= s.lower_squared && found.squared < s.upper_squared;
    }
    found.hits = __ballot_sync(kAllLanes, near);
    if (found.hits) visit(found);
  }
}

// Calls visit for all candidates of the atom in a slot. The lanes of a warp call it together.
template <class T, class Visit>
__device__ void for_candidates(const Search<T>& s, int32_t slot, Visit visit) {
  const int64_t system = s.batch[s.atom[slot]];
  const Grid& grid = s.grids[system];
  const int32_t place = s.slot_bin[slot] - grid.first_bin, row = place / grid.num[2];
  const int32_t a = row / grid.num[1], b = row % grid.num[1], c = place % grid.num[2];
  int32_t image[2], bin[2];
  for (int32_t da = -grid.reach[0]; da <= grid.reach[0]; ++da) {
    if (!locate_bin(grid, 0, a + da, image[0], bin[0])) continue;
    for (int32_t db = -grid.reach[1]; db <= grid.reach[1]; ++db) {
      if (!locate_bin(grid, 1, b + db, image[1], bin[1])) continue;
      Line line = make_line(grid, s.start, image, bin, c);
      if (s.half) skip_backward(line, slot);
      for_candidates_on(s, s.lattices[system], line, slot, visit);
    }
  }
}

// Counts the rows of the atoms, a warp each; warp: its number among num_warps.
template <class T>
__device__ void count_rows(const Search<T>& s, int64_t warp, int64_t num_warps) {
  if (faults_before_search(s)) return;
  for (int64_t slot = warp; slot < s.num_atoms; slot += num_warps) {
    int32_t count = s.loop;
    for_candidates(s, static_cast<int32_t>(slot), [&](const Candidates<T>& found) { count += __popc(found.hits); });
    if (lane_of_thread() == 0) s.row_size[s.atom[slot]] = count;
  }
}

// What is wrong, now that the number of pairs is known.
template <class T>
__device__ int32_t all_faults(const Search<T>& s, int64_t num_pairs, int64_t capacity) {
  const int32_t faults = faults_before_search(s);
  if (faults) return faults;
  if (num_pairs > INT32_MAX) return kTooManyPairs;
  return capacity >= 0 && num_pairs > capacity ? kOverflow : 0;
}

// Writes row_ptr[begin:end] (and the end of the last row). One block; the volatile read fetches what other blocks of
// the same launch may have written.
template <class T>
__device__ void write_row_ptr(const Search<T>& s, const Rows<T>& rows, int64_t begin, int64_t end, int64_t num_before,
                              int64_t num_pairs) {
  const int32_t faults = all_faults(s, num_pairs, rows.capacity);
  if (faults) {
    for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x)
      rows.row_ptr[i] = poisoned_row(i, s.num_atoms, rows.capacity);
  } else {
    const volatile int32_t* sizes = s.row_size;
    scan_range(sizes, begin, end, num_before,
               [&](int64_t i, int64_t first) { rows.row_ptr[i] = static_cast<int32_t>(first); });
  }
  if (threadIdx.x == 0 && end == s.num_atoms) {
    rows.row_ptr[end] =
        faults ? poisoned_row(end, s.num_atoms, rows.capacity) : static_cast<int32_t>(num_pairs);
    rows.status[0] = static_cast<int32_t>(num_pairs < INT32_MAX ? num_pairs : INT32_MAX);
    rows.status[1] = faults;
  }
}

// Sums up all rows in one block.
template <class T>
__device__ void sum_rows(const Search<T>& s, const Rows<T>& rows) {
  const volatile int32_t* sizes = s.row_size;
  const int64_t num_pairs = faults_before_search(s) ? 0 : sum_range(sizes, 0, s.num_atoms);
  write_row_ptr(s, rows, 0, s.num_atoms, 0, num_pairs);
}

template <class T>
__global__ void count_rows_kernel(Search<T> s) {
  count_rows(s, grid_thread() / kWarp, grid_threads() / kWarp);
}

// The block that is done last sums up what all have counted.
template <class T>
__global__ void count_and_sum_rows_kernel(Search<T> s, Rows<T> rows) {
  count_rows(s, grid_thread() / kWarp, grid_threads() / kWarp);
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(s.blocks_done, 1u) == gridDim.x - 1;
  __syncthreads();
  __threadfence();
  if (last) sum_rows(s, rows);
}

// A block a tile, after sum_tiles.
template <class T>
__global__ void sum_rows_kernel(Search<T> s, Rows<T> rows) {
  const int64_t tile = blockIdx.x, num_tiles = gridDim.x;
  int64_t num_before = 0, num_pairs = 0;
  if (!faults_before_search(s)) {
    num_before = sum_range(s.row_tiles, 0, tile);
    num_pairs = num_before + sum_range(s.row_tiles, tile, num_tiles);
  }
  write_row_ptr(s, rows, tile * kTile, tile_end(tile, s.num_atoms), num_before, num_pairs);
}

template <class T>
__global__ void __launch_bounds__(512) sort_atoms_kernel(Search<T> s) {
  sort_in_block(s);
}

template <class T>
__global__ void __launch_bounds__(512) sort_and_count_kernel(Search<T> s, Rows<T> rows) {
  sort_in_block(s);
  count_rows(s, threadIdx.x / kWarp, blockDim.x / kWarp);
  __syncthreads();
  sum_rows(s, rows);
}

// One edge. It lies in an image of the wrapped atoms; its shift is that of the atoms as they are.
template <class T>
__device__ void write_edge(const Search<T>& s, const Rows<T>& rows, int64_t edge, int32_t receiver, int32_t sender,
                           const int32_t* image, const T* vector, T squared) {
  for (int x = 0; x < 3; ++x) rows.vector[3 * edge + x] = vector[x];
  rows.distance[edge] = sqrt(squared);
  rows.receiver[edge] = receiver;
  rows.sender[edge] = sender;
  if (!rows.shift) return;
  const int32_t *own = s.wrap + 3 * static_cast<int64_t>(receiver), *other = s.wrap + 3 * static_cast<int64_t>(sender);
  for (int k = 0; k < 3; ++k) rows.shift[3 * edge + k] = image[k] + own[k] - other[k];
}

template <class T>
__device__ void write_row(const Search<T>& s, const Rows<T>& rows, int32_t slot) {
  const int lane = lane_of_thread();
  const int32_t atom = s.atom[slot];
  int64_t edge = rows.row_ptr[atom];
  if (s.loop) {
    const int32_t home[3] = {0, 0, 0};
    const T zero[3] = {0, 0, 0};
    if (lane == 0) write_edge(s, rows, edge, atom, atom, home, zero, T(0));
    ++edge;
  }
  for_candidates(s, slot, [&](const Candidates<T>& found) {
    const unsigned before = found.hits & ((1u << lane) - 1u);
    if (found.hits >> lane & 1u)
      write_edge(s, rows, edge + __popc(before), atom, s.atom[found.slot], found.image, found.vector, found.squared);
    edge += __popc(found.hits);
  });
}

template <class T>
__global__ void write_rows_kernel(Search<T> s, Rows<T> rows) {
  const bool failed = rows.status[1] != 0;
  for (int64_t slot = grid_thread() / kWarp; !failed && slot < s.num_atoms; slot += grid_threads() / kWarp)
    write_row(s, rows, static_cast<int32_t>(slot));
  write_padding(rows, s.num_atoms, s.cutoff, failed);
}

}  // namespace torchmdnet
