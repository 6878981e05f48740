// Sums of integers over a block, and exclusive prefix sums over arrays of any length below 2^31.
//
// An array is cut into tiles, one a block: the first launch sums each tile, the second adds up the sums before its own
// tile and then scans. Sums are of 64 bits. The second launch reads (length / kTile)^2 tile sums in all: nothing up to
// some ten million elements, and still correct beyond.
#pragma once
#include "device.cuh"

namespace torchmdnet {

constexpr int64_t kTile = 4096;

// Sum of the values of the threads before this one; total: of all threads of the block. All threads take part.
__device__ inline int64_t block_sum_before(int64_t value, int64_t& total) {
  __shared__ int64_t sums[kWarp];
  const int lane = lane_of_thread(), warp = static_cast<int>(threadIdx.x) / kWarp;
  int64_t upto = value;
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const int64_t other = __shfl_up_sync(kAllLanes, upto, distance);
    if (lane >= distance) upto += other;
  }
  if (lane == kWarp - 1) sums[warp] = upto;
  __syncthreads();
  int64_t before = upto - value;
  total = 0;
  for (int w = 0; w < static_cast<int>(blockDim.x) / kWarp; ++w) {
    if (w < warp) before += sums[w];
    total += sums[w];
  }
  __syncthreads();
  return before;
}

// Sum of counts[begin:end], the same in all threads of the block.
template <class T>
__device__ int64_t sum_range(const T* counts, int64_t begin, int64_t end) {
  int64_t own = 0, total;
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) own += counts[i];
  block_sum_before(own, total);
  return total;
}

// Calls write(i, before + sum of counts[begin:i]) for each i of [begin, end); one block.
template <class T, class Write>
__device__ void scan_range(const T* counts, int64_t begin, int64_t end, int64_t before, Write write) {
  for (int64_t base = begin; base < end; base += blockDim.x) {
    const int64_t i = base + threadIdx.x;
    int64_t total;
    const int64_t own = block_sum_before(i < end ? static_cast<int64_t>(counts[i]) : 0, total);
    if (i < end) write(i, before + own);
    before += total;
  }
}

inline __device__ int64_t tile_end(int64_t tile, int64_t length) {
  return (tile + 1) * kTile < length ? (tile + 1) * kTile : length;
}

// One block a tile.
template <class Counts>
__global__ void sum_tiles(const Counts* counts, int64_t length, int64_t* sums) {
  const int64_t sum = sum_range(counts, blockIdx.x * kTile, tile_end(blockIdx.x, length));
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

}  // namespace torchmdnet
