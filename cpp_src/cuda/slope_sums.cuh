// From derivatives by the coordinates of edges to their sums for pairs, with the same bits every time.
//
// Two numbers that are added to zero give the same bits in either order, and no more than two edges of a graph are one
// pair, but for the edges from atoms to themselves, of which each atom has one. So all others are added to their pairs
// by atomics as they come. Where the list begins with an edge from an atom to itself, those of its pair are kept apart,
// a number a warp, and added up at the end by one block in a fixed order. (Of edges that are no graph, and three or
// more of which share another pair, the sum is right, but not always to the last bit the same.)
#pragma once
#include "table_edges.cuh"
#include "workspace.cuh"

namespace torchmdnet {

constexpr int kSumThreads = 1024;

template <class T>
struct SlopeSums {
  T* of_pairs;  // (P,), zero beforehand
  T* of_warps;  // (W,), each atom's and warp's share of the pair that many edges share
  T* of_edges;  // (E,) while channels are gone through in several chunks, else unused
  int team;     // warps an atom

  TMD_SHARED int64_t num_warps(const TableEdges<T>& d) const { return d.num_atoms * team; }
};

// Returns the bytes of the workspace behind `base`.
template <class T>
int64_t lay_out(SlopeSums<T>& sums, const TableEdges<T>& d, int64_t num_chunks, char* base) {
  Workspace space(base);
  space.take(sums.of_warps, sums.num_warps(d));
  space.take(sums.of_edges, num_chunks > 1 ? d.num_edges : 0);
  return space.size();
}

// The pair that edges of many atoms share, or -1.
template <class T>
__device__ int32_t shared_pair(const TableEdges<T>& d) {
  if (d.num_atoms == 0 || d.row_ptr[d.num_atoms] == 0 || d.receiver[0] != d.sender[0]) return -1;
  return is_index(d.pair[0], d.num_pairs) ? d.pair[0] : -1;
}

// What one lane does for the edges of one atom that its warp looks after.
template <class T>
class RowSlopes {
 public:
  __device__ RowSlopes(const SlopeSums<T>& sums, int32_t shared_pair) : sums_(sums), shared_pair_(shared_pair) {}

  // Adds one chunk's share of the slope of edge e; of all chunks in turn.
  __device__ void add(int64_t e, int32_t pair, T value, bool is_first, bool is_last) {
    if (!is_first) value += sums_.of_edges[e];
    if (!is_last) sums_.of_edges[e] = value;
    else if (pair == shared_pair_) shared_ += value;  // -1, of an edge without a pair, adds to what nobody reads
    else if (pair >= 0) atomicAdd(sums_.of_pairs + pair, value);
  }
  __device__ void finish(int64_t warp) const { sums_.of_warps[warp] = shared_; }

 private:
  SlopeSums<T> sums_;
  int32_t shared_pair_;
  T shared_ = 0;
};

// One block.
template <class T>
__global__ void sum_shared_pair_kernel(TableEdges<T> d, SlopeSums<T> sums) {
  __shared__ T of_threads[kWarp];
  const int32_t pair = shared_pair(d);
  if (pair < 0) return;
  T own = 0;
  for (int64_t i = threadIdx.x; i < sums.num_warps(d); i += blockDim.x) own += sums.of_warps[i];
  own = warp_sum(own);
  if (lane_of_thread() == 0) of_threads[threadIdx.x / kWarp] = own;
  __syncthreads();
  if (threadIdx.x != 0) return;
  T sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) sum += of_threads[warp];
  sums.of_pairs[pair] = sum;
}

template <class T>
void clear_slopes(const TableEdges<T>& d, const SlopeSums<T>& sums, Stream stream) {
  if (d.num_pairs > 0)
    check_cuda(cudaMemsetAsync(sums.of_pairs, 0, static_cast<size_t>(d.num_pairs) * sizeof(T), stream), "memset");
}

}  // namespace torchmdnet
