// Vectors of the edges of a list from positions and cells, and the adjoint of that map.
#pragma once
#include "device.cuh"
#include "workspace.cuh"

namespace torchmdnet {

// Edges e of [row_ptr[i], row_ptr[i + 1]) have receiver i; those after the last row are padding. box and shift are null
// where there are no cells.
template <class T>
struct Displacement {
  const T *pos, *box;
  const int64_t* batch;
  const int32_t *receiver, *sender, *shift, *row_ptr;
  int64_t num_atoms, num_edges, num_systems;
};

// A thread an edge. Padding is zero; an index that is no atom gives NaN instead of a wild read.
template <class T>
__global__ void pair_vectors_kernel(Displacement<T> d, T* vector) {
  const int64_t last = d.row_ptr[d.num_atoms];
  for (int64_t e = grid_thread(); e < d.num_edges; e += grid_threads()) {
    T v[3] = {0, 0, 0};
    if (e < last) {
      const int32_t i = d.receiver[e], j = d.sender[e];
      const bool known = is_index(i, d.num_atoms) && is_index(j, d.num_atoms);
      for (int x = 0; x < 3; ++x)
        v[x] = known ? d.pos[3 * int64_t(i) + x] - d.pos[3 * int64_t(j) + x] : static_cast<T>(NAN);
      const int64_t system = known && d.shift ? d.batch[i] : -1;
      if (system >= 0 && system < d.num_systems) {
        const int32_t* s = d.shift + 3 * e;
        const T* box = d.box + 9 * system;
        for (int x = 0; x < 3; ++x) v[x] -= s[0] * box[x] + s[1] * box[3 + x] + s[2] * box[6 + x];
      } else if (d.shift) {
        v[0] = v[1] = v[2] = static_cast<T>(NAN);
      }
    }
    for (int x = 0; x < 3; ++x) vector[3 * e + x] = v[x];
  }
}

template <class T>
void pair_vectors(const Displacement<T>& d, T* vector, int threads, Stream stream) {
  TMD_LAUNCH(pair_vectors_kernel<T>, blocks_for(d.num_edges, threads), threads, stream, d, vector);
}

// What atoms send is added up by atomics on integers, whose sum has no order: the same bits in every run. A number is
// first brought to a scale at which the sum of all that an atom (or a cell) gets just fits 64 bits. Up to 511 numbers,
// the largest is kept as float64 has it; one bit less for each doubling.
class FixedPoint {
 public:
  // For up to `count` numbers, none larger than `most`.
  __device__ FixedPoint(double most, int64_t count) {
    int count_bits = 0, most_bits;
    for (int64_t left = count; left > 0; left /= 2) ++count_bits;
    frexp(most, &most_bits);
    bits_ = 62 - count_bits - most_bits;
  }
  __device__ unsigned long long encode(double value) const {
    return static_cast<unsigned long long>(llrint(ldexp(value, bits_)));
  }
  __device__ double decode(unsigned long long sum) const {
    return ldexp(static_cast<double>(static_cast<long long>(sum)), -bits_);
  }

 private:
  int bits_;
};

// Sums of one atom or cell: how large the numbers are, how many, and their sum at the scale that follows.
struct FixedSums {
  unsigned long long *most;  // the bits of a double that is not negative: of the same order as the double
  int32_t* count;            // null if it is known otherwise
  unsigned long long* sum;
};

template <class T>
struct Transpose {
  const T* grad;
  const int64_t* batch;
  const int32_t *sender, *shift, *row_ptr;  // shift is null where there are no cells
  int64_t num_atoms, num_edges, num_systems;
  bool with_box;
  T *grad_pos, *grad_box;

  FixedSums atoms;  // three sums each
  FixedSums boxes;  // nine
};

// Returns the bytes of the workspace behind `base`: 36 an atom and 80 a system.
template <class T>
int64_t lay_out(Transpose<T>& t, char* base) {
  Workspace space(base);
  const int64_t num_boxes = t.with_box ? t.num_systems : 0;
  space.take(t.atoms.most, t.num_atoms);
  space.take(t.atoms.count, t.num_atoms);
  space.take(t.atoms.sum, 3 * t.num_atoms);
  space.take(t.boxes.most, num_boxes);
  t.boxes.count = nullptr;
  space.take(t.boxes.sum, 9 * num_boxes);
  return space.size();
}

template <class T>
__device__ void clear_sums(const Transpose<T>& t) {
  for (int64_t i = grid_thread(); i < t.num_atoms; i += grid_threads()) {
    t.atoms.most[i] = 0;
    t.atoms.count[i] = 0;
    for (int x = 0; x < 3; ++x) t.atoms.sum[3 * i + x] = 0;
  }
  for (int64_t b = grid_thread(); t.with_box && b < t.num_systems; b += grid_threads()) {
    t.boxes.most[b] = 0;
    for (int k = 0; k < 9; ++k) t.boxes.sum[9 * b + k] = 0;
  }
}

__device__ inline unsigned long long bits_of(double value) {
  unsigned long long bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
__device__ inline double from_bits(unsigned long long bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// The larger magnitude; infinite if the value is not finite.
__device__ inline double larger(double most, double value) {
  return value - value == 0 ? fmax(most, fabs(value)) : static_cast<double>(INFINITY);
}

__device__ inline void raise_most(unsigned long long* at, double value) {
  const unsigned long long bits = bits_of(value);
  if (bits > *at) atomicMax(at, bits);
}

// Calls row(i) for the rows that this warp looks after, in order, and flush(b) after the last of several rows in
// succession that belong to system b, if there are cells and b is a system.
template <class T, class Row, class Flush>
__device__ void for_rows_of_warp(const Transpose<T>& t, Row row, Flush flush) {
  const int64_t warp = grid_thread() / kWarp, num_warps = grid_threads() / kWarp;
  const int64_t begin = t.num_atoms * warp / num_warps, end = t.num_atoms * (warp + 1) / num_warps;
  for (int64_t i = begin; i < end; ++i) {
    row(i);
    if (!t.with_box || (i + 1 < end && t.batch[i + 1] == t.batch[i])) continue;
    if (t.batch[i] >= 0 && t.batch[i] < t.num_systems) flush(t.batch[i]);
  }
}

// Largest numbers, and how many each atom sends.
template <class T>
__device__ void measure(const Transpose<T>& t) {
  double box_most = 0;
  const auto row = [&](int64_t i) {
    for (int64_t e = t.row_ptr[i] + lane_of_thread(); e < t.row_ptr[i + 1]; e += kWarp) {
      double most = 0;
      for (int x = 0; x < 3; ++x) most = larger(most, t.grad[3 * e + x]);
      for (int k = 0; t.with_box && t.shift && k < 3; ++k) box_most = larger(box_most, t.shift[3 * e + k] * most);
      const int32_t j = t.sender[e];
      if (!is_index(j, t.num_atoms)) continue;
      raise_most(t.atoms.most + j, most);
      atomicAdd(t.atoms.count + j, 1);
    }
  };
  for_rows_of_warp(t, row, [&](int64_t system) {
    for (int distance = kWarp / 2; distance > 0; distance /= 2)
      box_most = fmax(box_most, __shfl_xor_sync(kAllLanes, box_most, distance));
    if (lane_of_thread() == 0) raise_most(t.boxes.most + system, box_most);
    box_most = 0;
  });
}

// Nothing is added where the result is NaN anyway.
__device__ inline void add_fixed(unsigned long long* at, double most, int64_t count, double value) {
  if (value != 0 && most - most == 0 && value - value == 0) atomicAdd(at, FixedPoint(most, count).encode(value));
}

// What is sent; what belongs to a cell is first added up in the lanes of a warp.
template <class T>
__device__ void add_sent(const Transpose<T>& t) {
  T box_sum[9] = {0, 0, 0, 0, 0, 0, 0, 0, 0};
  const auto row = [&](int64_t i) {
    for (int64_t e = t.row_ptr[i] + lane_of_thread(); e < t.row_ptr[i + 1]; e += kWarp) {
      const int32_t j = t.sender[e];
      for (int x = 0; x < 3; ++x) {
        const T g = t.grad[3 * e + x];
        if (is_index(j, t.num_atoms))
          add_fixed(t.atoms.sum + 3 * int64_t(j) + x, from_bits(t.atoms.most[j]), t.atoms.count[j], g);
        for (int k = 0; t.with_box && t.shift && k < 3; ++k) box_sum[3 * k + x] -= t.shift[3 * e + k] * g;
      }
    }
  };
  for_rows_of_warp(t, row, [&](int64_t system) {
    const double most = from_bits(t.boxes.most[system]);
    for (int k = 0; k < 9; ++k) {
      const double sum = warp_sum(static_cast<double>(box_sum[k]));
      if (lane_of_thread() == 0) add_fixed(t.boxes.sum + 9 * system + k, most, t.num_edges, sum);
      if (!(sum - sum == 0)) raise_most(t.boxes.most + system, static_cast<double>(INFINITY));
      box_sum[k] = 0;
    }
  });
}

__device__ inline double fixed_sum(unsigned long long most_bits, int64_t count, unsigned long long sum) {
  const double most = from_bits(most_bits);
  return most - most == 0 ? FixedPoint(most, count).decode(sum) : static_cast<double>(NAN);
}

// What is received less what is sent. An index that is no atom gives NaN instead of a wild write.
template <class T>
__device__ void finish_transpose(const Transpose<T>& t) {
  const int lane = lane_of_thread();
  for (int64_t i = grid_thread() / kWarp; i < t.num_atoms; i += grid_threads() / kWarp) {
    T received[3] = {0, 0, 0};
    for (int64_t e = t.row_ptr[i] + lane; e < t.row_ptr[i + 1]; e += kWarp)
      for (int x = 0; x < 3; ++x)
        received[x] += is_index(t.sender[e], t.num_atoms) ? t.grad[3 * e + x] : static_cast<T>(NAN);
    for (int x = 0; x < 3; ++x) {
      const double sum = warp_sum(static_cast<double>(received[x]));
      if (lane == 0)
        t.grad_pos[3 * i + x] =
            static_cast<T>(sum - fixed_sum(t.atoms.most[i], t.atoms.count[i], t.atoms.sum[3 * i + x]));
    }
  }
  for (int64_t k = grid_thread(); t.with_box && k < 9 * t.num_systems; k += grid_threads())
    t.grad_box[k] = static_cast<T>(fixed_sum(t.boxes.most[k / 9], t.num_edges, t.boxes.sum[k]));
}

template <class T>
__global__ void clear_sums_kernel(Transpose<T> t) {
  clear_sums(t);
}
template <class T>
__global__ void measure_kernel(Transpose<T> t) {
  measure(t);
}
template <class T>
__global__ void add_sent_kernel(Transpose<T> t) {
  add_sent(t);
}
template <class T>
__global__ void finish_transpose_kernel(Transpose<T> t) {
  finish_transpose(t);
}

// All of it, in one block.
template <class T>
__global__ void __launch_bounds__(kLargeBlock) transpose_kernel(Transpose<T> t) {
  clear_sums(t);
  __syncthreads();
  measure(t);
  __syncthreads();
  add_sent(t);
  __syncthreads();
  finish_transpose(t);
}

constexpr int64_t kRowWarps = 8192;  // among which rows are divided: fixed, as box_sum depends on it

// One launch up to `few` atoms and systems, four beyond.
template <class T>
void pair_vectors_transpose(const Transpose<T>& t, int64_t few, int64_t num_warps, int threads, Stream stream) {
  const int64_t clears = t.num_atoms > t.num_systems ? t.num_atoms : t.num_systems;
  if (clears <= few) {
    TMD_LAUNCH(transpose_kernel<T>, 1, kLargeBlock, stream, t);
    return;
  }
  const int64_t warps = t.num_atoms < num_warps ? t.num_atoms : num_warps;
  const int64_t numbers = t.num_atoms * kWarp > 9 * t.num_systems ? t.num_atoms * kWarp : 9 * t.num_systems;
  TMD_LAUNCH(clear_sums_kernel<T>, blocks_for(clears, threads), threads, stream, t);
  TMD_LAUNCH(measure_kernel<T>, blocks_for(warps * kWarp, threads), threads, stream, t);
  TMD_LAUNCH(add_sent_kernel<T>, blocks_for(warps * kWarp, threads), threads, stream, t);
  TMD_LAUNCH(finish_transpose_kernel<T>, blocks_for(numbers, threads), threads, stream, t);
}

}  // namespace torchmdnet
