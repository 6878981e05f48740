// Loops whose threads help each other out. Each thread begins with a part of its own, the same at every call: what one
// op has left of it in the thread's cache the next op finds there, which matters most where cores share no cache. A
// thread that has finished takes over from the others, for atoms have different numbers of edges, and threads are
// interrupted.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "../torch_abi.h"

namespace torchmdnet {

// What is left of one thread's part; on cache lines of its own.
struct alignas(128) Part {
  std::atomic<int64_t> next{0};
  int64_t end = 0;

  // The first of the items that come next, and in `stop` the one after them; past the end if nothing is left. Chunks
  // become smaller, so that little is left to wait for at the end.
  int64_t take(int64_t grain, int64_t& stop) {
    int64_t begin = next.load(std::memory_order_relaxed);
    do {
      if (begin >= end) return end;
      stop = std::min(end, begin + std::max(grain, (end - begin) / 4));
    } while (!next.compare_exchange_weak(begin, stop, std::memory_order_relaxed));
    return begin;
  }
};

// Calls body(begin, end) for chunks of [0, count) of at least `grain` items, but for the last of a part, on libtorch's
// threads. Nothing may depend on how [0, count) is divided.
template <class Body>
void parallel_chunks(int64_t count, int64_t grain, const Body& body) {
  uint32_t num_threads = 1;
  TMD_CHECK(torch_get_num_threads(&num_threads));
  grain = std::max<int64_t>(grain, 1);
  const int64_t num_parts = std::min<int64_t>(num_threads, (count + grain - 1) / grain);
  if (num_parts <= 1) {
    if (count > 0) body(0, count);
    return;
  }
  std::vector<Part> parts(num_parts);
  for (int64_t p = 0; p < num_parts; ++p) {
    parts[p].next = count * p / num_parts;
    parts[p].end = count * (p + 1) / num_parts;
  }
  parallel_for(num_parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t own = first; own < last; ++own)
      for (int64_t k = 0; k < num_parts; ++k) {
        Part& part = parts[(own + k) % num_parts];
        int64_t stop = 0;
        for (int64_t begin; (begin = part.take(grain, stop)) < part.end;) body(begin, stop);
      }
  });
}

}  // namespace torchmdnet
