// Sorts the atoms of all systems into bins (neighbor_grid.h), ready for the search of their neighbours.
//
// The work is cut into phases. A phase needs all of what the phases before it wrote; within a phase threads share
// nothing but atomics on integers, whose result has no order: the same bits in every run. Phases are functions of a
// thread's number and the number of threads: a large input runs each on the whole device, one launch a phase, and a
// small one all of them in one block, one launch in all.
//
// A phase that meets a fault records it; later phases do nothing, and the rows are made empty.
#pragma once
#include "neighbor_arrays.cuh"
#include "scan.cuh"

namespace torchmdnet {

// Numbers of the same order as the doubles, so that atomics on integers find the least and the greatest.
__device__ inline unsigned long long ordered(double value) {
  unsigned long long bits;
  memcpy(&bits, &value, sizeof bits);
  return bits >> 63 ? ~bits : bits | 1ull << 63;
}
__device__ inline double from_ordered(unsigned long long bits) {
  bits = bits >> 63 ? bits & ~(1ull << 63) : ~bits;
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Most atoms change nothing: a look saves them the atomic.
template <class Number>
__device__ void lower_to(Number* at, Number value) {
  if (value < *at) atomicMin(at, value);
}
template <class Number>
__device__ void raise_to(Number* at, Number value) {
  if (value > *at) atomicMax(at, value);
}

template <class T>
__device__ void fractional_of(const Search<T>& s, const Lattice& lattice, int64_t atom, double* frac) {
  const T* r = s.pos + 3 * atom;
  fractional(lattice, r[0], r[1], r[2], frac);
}

// Phase 1: the cells; everything that is counted or compared starts from nothing.
template <class T>
__device__ void start_search(const Search<T>& s, int64_t thread, int64_t num_threads) {
  for (int64_t b = thread; b < s.num_systems; b += num_threads) {
    s.box_faults[b] = make_lattice(s.box ? s.box + 9 * b : nullptr, s.periodic ? s.periodic + 3 * b : nullptr,
                                   s.lattices[b]);
    s.first_atom[b] = INT32_MAX;
    s.num_own[b] = 0;
    for (int k = 0; k < 3; ++k) {
      s.low[3 * b + k] = ~0ull;
      s.high[3 * b + k] = 0;
    }
  }
  for (int64_t bin = thread; bin < s.num_bins; bin += num_threads) s.bin_size[bin] = 0;
  if (thread < kNumStages) s.faults[thread] = 0;
  if (thread == 0) *s.blocks_done = 0;
}

// Phase 2: the first atom of each system, and whether all can be used.
template <class T>
__device__ void find_first_atoms(const Search<T>& s, int64_t thread, int64_t num_threads) {
  const int lane = lane_of_thread();
  for (int64_t base = thread - lane; base < s.num_atoms; base += num_threads) {
    const int64_t i = base + lane;
    const int64_t system = i < s.num_atoms ? s.batch[i] : -1;
    const int64_t before = __shfl_up_sync(kAllLanes, system, 1);
    if (i >= s.num_atoms) continue;
    int32_t faults = system < 0 || system >= s.num_systems ? kBadBatch : 0;
    for (int x = 0; x < 3; ++x)
      if (!(s.pos[3 * i + x] - s.pos[3 * i + x] == 0)) faults |= kBadPosition;
    if (faults) atomicOr(s.faults + kInputStage, faults);
    const bool may_be_first = lane == 0 || before != system;
    if (!(faults & kBadBatch) && may_be_first) lower_to(s.first_atom + system, static_cast<int32_t>(i));
  }
}

// What an atom does to the extents of its system.
template <class T>
__device__ void extend(const Search<T>& s, int64_t system, int32_t num_atoms, const double* low, const double* high) {
  atomicAdd(s.num_own + system, num_atoms);
  for (int k = 0; k < 3; ++k) {
    lower_to(s.low + 3 * system + k, ordered(low[k]));
    raise_to(s.high + 3 * system + k, ordered(high[k]));
  }
}

// Phase 3: wraps each atom around the first of its system; how many atoms a system has and where they are. A warp
// whose atoms are all of one system makes one of them first.
template <class T>
__device__ void wrap_atoms(const Search<T>& s, int64_t thread, int64_t num_threads) {
  if (s.faults[kInputStage]) return;
  const int lane = lane_of_thread();
  for (int64_t base = thread - lane; base < s.num_atoms; base += num_threads) {
    // Lanes past the end do as the last atom does, but count for nothing.
    const bool counts = base + lane < s.num_atoms;
    const int64_t i = counts ? base + lane : s.num_atoms - 1, system = s.batch[i];
    const Lattice& lattice = s.lattices[system];
    double frac[3], first[3];
    fractional_of(s, lattice, i, frac);
    fractional_of(s, lattice, s.first_atom[system], first);
    for (int k = 0; k < 3; ++k) {
      const double wrap = wrap_count(lattice, k, frac[k], first[k]);
      if (!(fabs(wrap) < 1 << 30)) atomicOr(s.faults + kGeometryStage, static_cast<int32_t>(kFarAtom));
      if (s.wrap && counts) s.wrap[3 * i + k] = static_cast<int32_t>(wrap);
      frac[k] -= wrap;
    }
    const int64_t leader = __shfl_sync(kAllLanes, system, 0);
    if (__ballot_sync(kAllLanes, system == leader) == kAllLanes) {
      double low[3], high[3];
      for (int k = 0; k < 3; ++k) {
        low[k] = high[k] = frac[k];
        for (int distance = kWarp / 2; distance > 0; distance /= 2) {
          low[k] = fmin(low[k], __shfl_xor_sync(kAllLanes, low[k], distance));
          high[k] = fmax(high[k], __shfl_xor_sync(kAllLanes, high[k], distance));
        }
      }
      const int64_t left = s.num_atoms - base;
      if (lane == 0) extend(s, system, static_cast<int32_t>(left < kWarp ? left : kWarp), low, high);
    } else if (counts) {
      extend(s, system, 1, frac, frac);
    }
  }
}

// Phase 4, of one block: how each system is divided, and where its bins begin among those of all.
template <class T>
__device__ void divide_systems(const Search<T>& s) {
  if (s.faults[kInputStage]) return;
  int64_t num_before = 0;
  for (int64_t base = 0; base < s.num_systems; base += blockDim.x) {
    const int64_t b = base + threadIdx.x;
    Grid grid;
    int64_t num_bins = 0, total;
    if (b < s.num_systems) {
      double low[3], high[3];
      for (int k = 0; k < 3; ++k) {
        low[k] = from_ordered(s.low[3 * b + k]);
        high[k] = from_ordered(s.high[3 * b + k]);
      }
      make_grid(s.lattices[b], low, high, s.num_own[b], s.cutoff, grid);
      num_bins = grid.num_bins();
      int32_t faults = s.box_faults[b];
      if (!(candidates(grid, s.num_own[b]) <= INT32_MAX)) faults |= kTooManyPairs;
      if (faults) atomicOr(s.faults + kGeometryStage, faults);
    }
    const int64_t before = num_before + block_sum_before(num_bins, total);
    if (b < s.num_systems) {
      grid.first_bin = static_cast<int32_t>(before);
      s.grids[b] = grid;
    }
    num_before += total;
  }
}

template <class T>
__device__ int32_t faults_before_search(const Search<T>& s) {
  return s.faults[kInputStage] | s.faults[kGeometryStage];
}

// Phase 5: the bin of each atom, and how many atoms a bin has. rank: some number of the atom in its bin.
template <class T>
__device__ void find_bins(const Search<T>& s, int64_t thread, int64_t num_threads) {
  if (faults_before_search(s)) return;
  for (int64_t i = thread; i < s.num_atoms; i += num_threads) {
    const int64_t system = s.batch[i];
    const Grid& grid = s.grids[system];
    double frac[3];
    fractional_of(s, s.lattices[system], i, frac);
    int32_t place[3];
    for (int k = 0; k < 3; ++k) place[k] = bin_along(grid, k, s.wrap ? frac[k] - s.wrap[3 * i + k] : frac[k]);
    s.bin[i] = bin_number(grid, place[0], place[1], place[2]);
    s.rank[i] = atomicAdd(s.bin_size + s.bin[i], 1);
  }
}

// Phase 6, of one block for bins [begin, end): the first slot of each, and the end of the last.
template <class T>
__device__ void find_starts(const Search<T>& s, int64_t begin, int64_t end, int64_t num_before) {
  if (faults_before_search(s)) return;
  scan_range(s.bin_size, begin, end, num_before,
             [&](int64_t bin, int64_t first) { s.start[bin] = static_cast<int32_t>(first); });
  if (end == s.num_bins && threadIdx.x == 0) s.start[end] = static_cast<int32_t>(s.num_atoms);
}

// Phase 7: the atoms of each bin, in any order.
template <class T>
__device__ void place_atoms(const Search<T>& s, int64_t thread, int64_t num_threads) {
  if (faults_before_search(s)) return;
  for (int64_t i = thread; i < s.num_atoms; i += num_threads)
    s.unordered[s.start[s.bin[i]] + s.rank[i]] = static_cast<int32_t>(i);
}

// Phase 8: ascending within each bin, with what the search reads of them. Every atom counts those of its bin that go
// before it: less work than the search, which compares it with these and more.
template <class T>
__device__ void order_atoms(const Search<T>& s, int64_t thread, int64_t num_threads) {
  if (faults_before_search(s)) return;
  for (int64_t k = thread; k < s.num_atoms; k += num_threads) {
    const int32_t i = s.unordered[k], bin = s.bin[i];
    int32_t slot = s.start[bin];
    for (int32_t other = s.start[bin]; other < s.start[bin + 1]; ++other) slot += s.unordered[other] < i;
    s.atom[slot] = i;
    s.slot_bin[slot] = bin;
    double shift[3] = {0, 0, 0};
    const int32_t* wrap = s.wrap ? s.wrap + 3 * static_cast<int64_t>(i) : nullptr;
    if (wrap && (wrap[0] | wrap[1] | wrap[2])) translation(s.lattices[s.batch[i]], wrap[0], wrap[1], wrap[2], shift);
    T* const axes[3] = {s.x, s.y, s.z};
    for (int x = 0; x < 3; ++x)
      axes[x][slot] = static_cast<T>(s.pos[3 * static_cast<int64_t>(i) + x] - shift[x]);
  }
}

template <class T>
__global__ void start_search_kernel(Search<T> s) {
  start_search(s, grid_thread(), grid_threads());
}
template <class T>
__global__ void find_first_atoms_kernel(Search<T> s) {
  find_first_atoms(s, grid_thread(), grid_threads());
}
template <class T>
__global__ void wrap_atoms_kernel(Search<T> s) {
  wrap_atoms(s, grid_thread(), grid_threads());
}
template <class T>
__global__ void divide_systems_kernel(Search<T> s) {
  divide_systems(s);
}
template <class T>
__global__ void find_bins_kernel(Search<T> s) {
  find_bins(s, grid_thread(), grid_threads());
}
template <class T>
__global__ void find_starts_kernel(Search<T> s) {
  const int64_t tile = blockIdx.x;
  find_starts(s, tile * kTile, tile_end(tile, s.num_bins), sum_range(s.bin_tiles, 0, tile));
}
template <class T>
__global__ void place_atoms_kernel(Search<T> s) {
  place_atoms(s, grid_thread(), grid_threads());
}
template <class T>
__global__ void order_atoms_kernel(Search<T> s) {
  order_atoms(s, grid_thread(), grid_threads());
}

// All phases in one block.
template <class T>
__device__ void sort_in_block(const Search<T>& s) {
  const int64_t thread = threadIdx.x, num_threads = blockDim.x;
  start_search(s, thread, num_threads);
  __syncthreads();
  find_first_atoms(s, thread, num_threads);
  __syncthreads();
  wrap_atoms(s, thread, num_threads);
  __syncthreads();
  divide_systems(s);
  __syncthreads();
  find_bins(s, thread, num_threads);
  __syncthreads();
  find_starts(s, 0, s.num_bins, 0);
  __syncthreads();
  place_atoms(s, thread, num_threads);
  __syncthreads();
  order_atoms(s, thread, num_threads);
  __syncthreads();
}

}  // namespace torchmdnet
