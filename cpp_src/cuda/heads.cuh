// How the channels of attention's heads are dealt to the lanes of a warp.
//
// A head has a power of two of neighbouring lanes with V channels each, so that sums over it are a butterfly among
// them; lanes that are too many have none. A warp has as many heads at a time as fit; a head of more than 32 V channels
// has several parts, one after another.
#pragma once
#include "device.cuh"

namespace torchmdnet {

struct Heads {
  int64_t num, width;  // channels of a head
  int64_t parts;       // of a head
  int lanes;           // of a part: 32 if a head has several

  // A chunk is what the lanes of a warp have at a time: some heads, or a part of one.
  __host__ __device__ int64_t per_chunk() const { return kWarp / lanes; }
  __host__ __device__ int64_t num_chunks() const { return divide_up(num * parts, per_chunk()); }
};

inline Heads deal_heads(int64_t channels, int64_t num, int pack) {
  Heads heads{num, channels / num, 0, 1};
  while (heads.lanes < kWarp && heads.lanes * pack < heads.width) heads.lanes *= 2;
  heads.parts = divide_up(heads.width, heads.lanes * pack);
  return heads;
}

// The channels of this lane in one part of its head: the first of V, and whether there are any.
template <int V>
struct HeadChannels {
  int64_t head, part, first;
  bool any;

  __device__ HeadChannels(const Heads& heads, int64_t head, int64_t part) : head(head), part(part) {
    const int64_t in_head = (part * heads.lanes + lane_of_thread() % heads.lanes) * V;
    any = head < heads.num && in_head < heads.width;
    first = any ? head * heads.width + in_head : 0;  // others do the work of the first lane, and keep nothing
  }
  __device__ HeadChannels(const Heads& heads, int64_t chunk)
      : HeadChannels(heads, chunk / heads.parts * heads.per_chunk() + lane_of_thread() / heads.lanes,
                     chunk % heads.parts) {}
};

// Calls visit(channels of this lane, whether they are its own) for each part of the head in order: the same sums of
// shares in all of them.
template <int V, class Visit>
__device__ void for_parts(const Heads& heads, const HeadChannels<V>& own, Visit visit) {
  for (int64_t part = 0; part < heads.parts; ++part) {
    if (part == own.part) visit(own, true);
    else visit(HeadChannels<V>(heads, own.head, part), false);
  }
}

// The sum over the lanes of a head, the same bits in all of them.
template <class T>
__device__ T head_sum(const Heads& heads, T value) {
  for (int distance = heads.lanes / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

// Of four numbers a lane, the sum over all lanes of the n-th in lanes 8 n to 8 n + 7: with 6 shuffles in place of 20.
template <class T>
__device__ T sums_of_four(const T* value) {
  const bool upper = lane_of_thread() & 16, odd = lane_of_thread() & 8;
  T half[2];
  for (int n = 0; n < 2; ++n) {
    const T other = __shfl_xor_sync(kAllLanes, upper ? value[n] : value[n + 2], 16);
    half[n] = (upper ? value[n + 2] : value[n]) + other;
  }
  T sum = (odd ? half[1] : half[0]) + __shfl_xor_sync(kAllLanes, odd ? half[0] : half[1], 8);
  for (int distance = 4; distance > 0; distance /= 2) sum += __shfl_xor_sync(kAllLanes, sum, distance);
  return sum;
}

}  // namespace torchmdnet
