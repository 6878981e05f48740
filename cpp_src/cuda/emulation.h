// Runs CUDA kernels on the CPU, for tests: their own source, compiled by a C++20 compiler, without a GPU.
//
// The threads of a block are fibers that hand over to each other at barriers and collectives; blocks run one after
// another. A seed changes the order of threads and blocks. Barriers that not all threads reach, collectives that not
// all lanes of a warp take part in, and loads by __ldg and stores by __stwb at addresses that are not aligned are
// errors. What it cannot show: races that need two threads at the same moment, missing fences, and speed.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static  // of one block at a time
#define __launch_bounds__(...)

struct EmulatedIndex {
  unsigned x;
};
inline EmulatedIndex threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

constexpr int kLanes = 32;
constexpr int kMostThreads = 1024;
constexpr size_t kStack = 1 << 16;

enum class State { kReady, kInCollective, kAtBarrier, kDone };

struct Fiber {
  ucontext_t context;  // where it starts
  jmp_buf resume;      // where it goes on: a jump takes no system call
  bool started;
  std::unique_ptr<char[]> stack;
  State state = State::kDone;
  const char* place = "";    // the barrier or collective where it waits
  unsigned num_collectives;  // whose parity says which half of the board is in use
};

inline std::vector<Fiber> fibers;
inline jmp_buf scheduler;
inline std::function<void()> body;
inline int running;
inline uint64_t board[2][kMostThreads];
inline std::mt19937 order;
inline bool shuffled = false;
inline int num_launches = 0;
inline const char* fault = nullptr;  // what a thread did wrong: it cannot throw past its own stack
inline std::vector<std::pair<const char*, const char*>> guarded;  // memory that no kernel may write

// Order of threads and blocks from now on: ascending for 0, else random.
inline void set_seed(unsigned seed) {
  shuffled = seed != 0;
  order.seed(seed);
}

inline void enter_fiber() {
  body();
  fibers[running].state = State::kDone;
  _longjmp(scheduler, 1);
}

// Hands over to the scheduler until it resumes this thread.
inline void wait(State state, const char* place) {
  Fiber& fiber = fibers[running];
  fiber.state = state;
  fiber.place = place;
  if (!_setjmp(fiber.resume)) _longjmp(scheduler, 1);
}

// Runs a thread until it waits or is done.
[[gnu::noinline]] inline void resume(int thread) {
  running = thread;
  threadIdx.x = static_cast<unsigned>(thread);
  if (_setjmp(scheduler)) return;
  if (fibers[running].started) _longjmp(fibers[running].resume, 1);
  fibers[running].started = true;
  setcontext(&fibers[running].context);
}

inline void start_fiber(Fiber& fiber) {
  if (!fiber.stack) fiber.stack.reset(new char[kStack]);
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStack;
  fiber.context.uc_link = nullptr;
  fiber.started = false;
  fiber.state = State::kReady;
  fiber.num_collectives = 0;
  makecontext(&fiber.context, enter_fiber, 0);
}

inline std::vector<int> some_order(int first, int last) {
  std::vector<int> numbers(last - first);
  for (int k = first; k < last; ++k) numbers[k - first] = k;
  if (shuffled) std::shuffle(numbers.begin(), numbers.end(), order);
  return numbers;
}

// Whether all threads of [first, last) wait in this state; an error if some do and others cannot come.
inline bool all_wait(int first, int last, State state, const char* what) {
  int waiting = 0, gone = 0;
  const char* place = nullptr;
  for (int t = first; t < last; ++t) {
    gone += fibers[t].state == State::kDone || (state == State::kInCollective && fibers[t].state == State::kAtBarrier);
    if (fibers[t].state != state) continue;
    ++waiting;
    if (place && std::strcmp(place, fibers[t].place))
      throw std::logic_error(std::string("threads meet at ") + place + " and at " + fibers[t].place);
    place = fibers[t].place;
  }
  if (waiting && gone) throw std::logic_error(std::string("not all threads reach a ") + what + ": " + place);
  return waiting == last - first;
}

// Runs the threads of a warp until all of them wait for the block or are done.
inline void run_warp(int first) {
  do {
    for (const int t : some_order(first, first + kLanes)) {
      if (fibers[t].state == State::kReady) resume(t);
    }
    if (!all_wait(first, first + kLanes, State::kInCollective, "warp's collective")) return;
    for (int t = first; t < first + kLanes; ++t) fibers[t].state = State::kReady;
  } while (true);
}

inline void run_block(int num_threads) {
  for (int t = 0; t < num_threads; ++t) start_fiber(fibers[t]);
  do {
    for (const int warp : some_order(0, num_threads / kLanes)) run_warp(warp * kLanes);
    if (!all_wait(0, num_threads, State::kAtBarrier, "block's barrier")) return;
    for (int t = 0; t < num_threads; ++t) fibers[t].state = State::kReady;
  } while (true);
}

// The stream is there for the sake of the real launch: kernels run at once.
template <class Kernel, class Stream, class... Args>
void launch(Kernel kernel, int64_t blocks, int num_threads, Stream, Args... args) {
  if (blocks < 1 || num_threads < 1 || num_threads > kMostThreads || num_threads % kLanes)
    throw std::logic_error("a launch of " + std::to_string(blocks) + " x " + std::to_string(num_threads) + " threads");
  ++num_launches;
  fibers.resize(kMostThreads);
  gridDim.x = static_cast<unsigned>(blocks);
  blockDim.x = static_cast<unsigned>(num_threads);
  body = [&] { kernel(args...); };
  for (const int block : some_order(0, static_cast<int>(blocks))) {
    blockIdx.x = static_cast<unsigned>(block);
    run_block(num_threads);
  }
  if (fault) throw std::logic_error(std::exchange(fault, nullptr));
}

// Posts a value where the other lanes of the warp see it, and waits for theirs.
template <class T>
const uint64_t* post(T value, const char* place) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t* half = board[fibers[running].num_collectives++ % 2];
  half[running] = 0;
  std::memcpy(&half[running], &value, sizeof value);
  wait(State::kInCollective, place);
  return half + running / kLanes * kLanes;
}

template <class T>
T shuffle(T value, int from, const char* place) {
  T out;
  std::memcpy(&out, post(value, place) + from, sizeof out);
  return out;
}

template <class T, class Combine>
T atomic(T* at, Combine combine) {
  const T before = *at;
  *at = static_cast<T>(combine(before));
  return before;
}

}  // namespace emulation

// What the launchers ask of CUDA's run-time library.
using cudaError_t = int;
using cudaStream_t = void*;
enum cudaStreamCaptureStatus { cudaStreamCaptureStatusNone, cudaStreamCaptureStatusActive };
enum cudaMemcpyKind { cudaMemcpyDeviceToHost };
constexpr cudaError_t cudaSuccess = 0;

namespace emulation {
inline bool captures = false;
inline int num_waits = 0;
inline int num_clears = 0;
}  // namespace emulation

inline const char* cudaGetErrorString(cudaError_t) { return "an error"; }
inline cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = emulation::captures ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t) {
  std::memset(at, value, bytes);
  ++emulation::num_clears;
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) {
  ++emulation::num_waits;
  return cudaSuccess;
}

inline void __syncthreads() { emulation::wait(emulation::State::kAtBarrier, "__syncthreads"); }
inline void __syncwarp(unsigned = ~0u) { emulation::post(0, "__syncwarp"); }
inline void __threadfence() {}

struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
template <class T>
T __ldg(const T* at) {
  if (reinterpret_cast<uintptr_t>(at) % alignof(T)) emulation::fault = "a load from an address that is not aligned";
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
template <class T>
T __ldcg(const T* at) {
  return __ldg(at);
}
template <class T>
void __stwb(T* at, T value) {
  if (reinterpret_cast<uintptr_t>(at) % alignof(T)) emulation::fault = "a store to an address that is not aligned";
  std::memcpy(static_cast<void*>(at), &value, sizeof value);
}

template <class T>
T __shfl_sync(unsigned, T value, int from) {
  return emulation::shuffle(value, from % emulation::kLanes, "__shfl_sync");
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned by) {
  const int lane = emulation::running % emulation::kLanes, from = lane - static_cast<int>(by);
  return emulation::shuffle(value, from < 0 ? lane : from, "__shfl_up_sync");
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulation::shuffle(value, (emulation::running % emulation::kLanes) ^ mask, "__shfl_xor_sync");
}
inline unsigned __ballot_sync(unsigned, int predicate) {
  const uint64_t* posted = emulation::post(predicate, "__ballot_sync");
  unsigned votes = 0;
  for (int lane = 0; lane < emulation::kLanes; ++lane) votes |= (posted[lane] ? 1u : 0u) << lane;
  return votes;
}
inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __ffs(int value) { return __builtin_ffs(value); }

template <class T>
T atomicAdd(T* at, T value) {
  return emulation::atomic(at, [&](T old) { return old + value; });
}
template <class T>
T atomicMin(T* at, T value) {
  return emulation::atomic(at, [&](T old) { return std::min(old, value); });
}
template <class T>
T atomicMax(T* at, T value) {
  return emulation::atomic(at, [&](T old) { return std::max(old, value); });
}
template <class T>
T atomicOr(T* at, T value) {
  return emulation::atomic(at, [&](T old) { return old | value; });
}
template <class T>
T atomicCAS(T* at, T expected, T value) {
  return emulation::atomic(at, [&](T old) { return old == expected ? value : old; });
}
