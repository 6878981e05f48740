// What kernels and their launches are written with: CUDA where nvcc compiles, threads of the CPU in the tests.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#else
#include "emulation.h"
#endif

namespace torchmdnet {

constexpr int kWarp = 32;
constexpr int kBlock = 256;  // threads, where nothing speaks for another number
constexpr int kLargeBlock = 512;    // threads of a block that works alone
constexpr int64_t kFewAtoms = 128;  // up to which one block does what else takes several launches
constexpr unsigned kAllLanes = 0xffffffffu;

using Stream = cudaStream_t;

inline void check_cuda(cudaError_t error, const char* what) {
  if (error != cudaSuccess)
    throw std::runtime_error(std::string("torchmdnet: ") + what + ": " + cudaGetErrorString(error));
}

// Bytes between arrays that nobody may write, where there is somebody to look after them.
#if defined(__CUDACC__)
constexpr int64_t kGuard = 0;
inline void guard_memory(char*, char*) {}
#else
constexpr int64_t kGuard = 256;
inline void guard_memory(char* begin, char* end) { emulation::guarded.emplace_back(begin, end); }
#endif

// TMD_LAUNCH(kernel, blocks, threads, stream, arguments of the kernel...)
#if defined(__CUDACC__)
#define TMD_LAUNCH(kernel, blocks, threads, stream, ...)                                               \
  do {                                                                                                 \
    kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), 0, stream>>>(__VA_ARGS__); \
    ::torchmdnet::check_cuda(cudaGetLastError(), #kernel);                                             \
  } while (0)
#else
#define TMD_LAUNCH(kernel, ...) ::emulation::launch(kernel, __VA_ARGS__)
#endif

__device__ inline int lane_of_thread() { return static_cast<int>(threadIdx.x) % kWarp; }

// The number of this thread and of this warp among those of the whole grid, and how many there are.
__device__ inline int64_t grid_thread() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline int64_t grid_threads() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

// Whether an index that nobody has looked at is one of `count`.
__device__ inline bool is_index(int32_t index, int64_t count) { return index >= 0 && index < count; }

// The same bits in all lanes, and every time.
template <class T>
__device__ T warp_sum(T value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

__host__ __device__ inline int64_t divide_up(int64_t count, int64_t part) { return (count + part - 1) / part; }

// Blocks for `count` items, one a thread: at least one, and no more than keep a large GPU busy; threads then loop.
inline int64_t blocks_for(int64_t count, int64_t threads) {
  constexpr int64_t kMost = 1 << 16;
  const int64_t blocks = divide_up(count, threads);
  return blocks < 1 ? 1 : blocks < kMost ? blocks : kMost;
}

}  // namespace torchmdnet
