// Several neighbouring numbers that a thread reads and writes at once.
#pragma once
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include "device.cuh"

namespace torchmdnet {

template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T v[V];
};

// A type of the same size that one load brings.
template <size_t bytes>
using Word = std::conditional_t<bytes == 4, int, std::conditional_t<bytes == 8, int2, int4>>;

template <class T, int V>
__device__ Pack<T, V> unpack(Word<sizeof(T) * V> word) {
  Pack<T, V> out;
  static_assert(sizeof out == sizeof word);
  memcpy(&out, &word, sizeof out);
  return out;
}

// For memory that nobody writes while the kernel runs: kept near the multiprocessor, or, what it will not soon want
// again, in the L2 cache only.
template <class T, int V>
__device__ Pack<T, V> read_pack(const T* from) {
  return unpack<T, V>(__ldg(reinterpret_cast<const Word<sizeof(T) * V>*>(from)));
}
template <class T, int V>
__device__ Pack<T, V> read_pack_once(const T* from) {
  return unpack<T, V>(__ldcg(reinterpret_cast<const Word<sizeof(T) * V>*>(from)));
}

// In one store: left to itself, the compiler takes some of them apart.
template <class T, int V>
__device__ void write_pack(T* to, const Pack<T, V>& pack) {
  Word<sizeof(T) * V> word;
  memcpy(&word, &pack, sizeof word);
  __stwb(reinterpret_cast<Word<sizeof(T) * V>*>(to), word);
}

// Calls body(std::integral_constant<int, V>) for packs of V channels: as many as 16 bytes hold, or fewer where a warp
// would then have idle lanes, or where an array does not begin at, or rows are not, a multiple of their size. No pack
// reaches from one run of channels into the next one.
template <class T, class Body>
void for_packs(int64_t channels, int64_t run, std::initializer_list<const void*> arrays, const Body& body) {
  uintptr_t bits = 0;
  for (const void* array : arrays) bits |= reinterpret_cast<uintptr_t>(array);
  const auto fits = [&](int width) {
    return run % width == 0 && channels > kWarp * width / 2 && bits % (sizeof(T) * width) == 0;
  };
  if constexpr (sizeof(T) == 4) {
    if (fits(4)) return body(std::integral_constant<int, 4>());
  }
  if (fits(2)) return body(std::integral_constant<int, 2>());
  body(std::integral_constant<int, 1>());
}
template <class T, class Body>
void for_packs(int64_t channels, std::initializer_list<const void*> arrays, const Body& body) {
  for_packs<T>(channels, channels, arrays, body);
}

}  // namespace torchmdnet
