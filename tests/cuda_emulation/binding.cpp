// The CUDA kernels on threads of the CPU, callable from Python with NumPy arrays.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "cuda/distinct_pairs.cuh"
#include "cuda/neighbor_schedule.cuh"
#include "cuda/pair_vectors.cuh"

namespace py = pybind11;
using namespace torchmdnet;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

// A workspace that holds some value beforehand, and sees to it that the gaps between its arrays keep it.
struct Memory {
  std::vector<char> bytes;
  char poison;
  Memory(int64_t size, int value) : bytes(size, static_cast<char>(value)), poison(static_cast<char>(value)) {
    emulation::guarded.clear();
  }
  void check() const {
    for (const auto& [begin, end] : emulation::guarded)
      if (std::any_of(begin, end, [&](char byte) { return byte != poison; }))
        throw std::logic_error("a kernel wrote past an array of its workspace");
  }
};

template <class T>
Array<T> filled(std::vector<py::ssize_t> shape, int poison) {
  Array<T> array(shape);
  std::memset(array.mutable_data(), poison, array.nbytes());
  return array;
}

template <class T>
const T* data_or_null(const Array<T>& array) {
  return array.shape(0) ? array.data() : nullptr;
}

// What neighbor_pairs.cu does, with memory that is poisoned beforehand.
template <class T>
py::tuple neighbor_pairs(Array<T> pos, Array<int64_t> batch, Array<T> box, Array<bool> periodic, int64_t num_systems,
                         double lower, double upper, bool loop, bool half, int64_t capacity, const Schedule& schedule,
                         unsigned seed, int poison) {
  emulation::set_seed(seed);
  emulation::num_launches = 0;
  Search<T> s{};
  s.pos = pos.data();
  s.batch = batch.data();
  s.box = data_or_null(box);
  s.periodic = data_or_null(periodic);
  s.num_atoms = pos.shape(0);
  s.num_systems = num_systems;
  s.cutoff = upper;
  s.lower_squared = static_cast<T>(lower) * static_cast<T>(lower);
  s.upper_squared = static_cast<T>(upper) * static_cast<T>(upper);
  s.loop = loop;
  s.half = half;
  Memory memory(lay_out(s, nullptr), poison);
  lay_out(s, memory.bytes.data());
  auto row_ptr = filled<int32_t>({s.num_atoms + 1}, poison), status = filled<int32_t>({2}, poison);
  Rows<T> rows{};
  rows.row_ptr = row_ptr.mutable_data();
  rows.status = status.mutable_data();
  rows.capacity = capacity;
  find_rows(s, rows, schedule, Stream());
  if (capacity < 0) rows.capacity = rows.status[1] ? 0 : rows.status[0];
  auto vector = filled<T>({rows.capacity, 3}, poison), distance = filled<T>({rows.capacity}, poison);
  auto receiver = filled<int32_t>({rows.capacity}, poison), sender = filled<int32_t>({rows.capacity}, poison);
  auto shift = filled<int32_t>({s.box ? rows.capacity : 0, 3}, poison);
  rows.vector = vector.mutable_data();
  rows.distance = distance.mutable_data();
  rows.receiver = receiver.mutable_data();
  rows.sender = sender.mutable_data();
  rows.shift = s.box ? shift.mutable_data() : nullptr;
  write_rows(s, rows, schedule, Stream());
  memory.check();
  return py::make_tuple(vector, distance, receiver, sender, shift, row_ptr, status, emulation::num_launches);
}

template <class T>
Array<T> pair_vectors_of(Array<T> pos, Array<T> box, Array<int64_t> batch, Array<int32_t> receiver,
                         Array<int32_t> sender, Array<int32_t> shift, Array<int32_t> row_ptr, int poison) {
  auto vector = filled<T>({sender.shape(0), 3}, poison);
  const Displacement<T> d{pos.data(),    data_or_null(box),    batch.data(),   receiver.data(),
                          sender.data(), data_or_null(shift), row_ptr.data(), pos.shape(0),
                          sender.shape(0), box.shape(0)};
  pair_vectors(d, vector.mutable_data(), 64, Stream());
  return vector;
}

template <class T>
py::tuple pair_vectors_transpose_of(Array<T> grad, Array<int64_t> batch, Array<int32_t> sender, Array<int32_t> shift,
                                    Array<int32_t> row_ptr, int64_t num_systems, bool with_box, int64_t num_warps,
                                    unsigned seed, int poison, int64_t few) {
  emulation::set_seed(seed);
  const int64_t num_atoms = batch.shape(0);
  Transpose<T> t{};
  t.grad = grad.data();
  t.batch = batch.data();
  t.sender = sender.data();
  t.shift = data_or_null(shift);
  t.row_ptr = row_ptr.data();
  t.num_atoms = num_atoms;
  t.num_edges = sender.shape(0);
  t.num_systems = num_systems;
  t.with_box = with_box;
  Memory memory(lay_out(t, nullptr), poison);
  lay_out(t, memory.bytes.data());
  auto grad_pos = filled<T>({num_atoms, 3}, poison);
  auto grad_box = filled<T>({with_box ? num_systems : 0, 3, 3}, poison);
  t.grad_pos = grad_pos.mutable_data();
  t.grad_box = grad_box.mutable_data();
  pair_vectors_transpose(t, few, num_warps, 64, Stream());
  memory.check();
  return py::make_tuple(grad_pos, grad_box);
}

py::tuple distinct_pairs_of(Array<int32_t> sender, Array<int32_t> shift, Array<int32_t> row_ptr, bool loop, bool padded,
                            unsigned seed, int poison, int64_t few) {
  emulation::set_seed(seed);
  Distinct d{};
  d.sender = sender.data();
  d.shift = data_or_null(shift);
  d.row_ptr = row_ptr.data();
  d.num_atoms = row_ptr.shape(0) - 1;
  d.num_edges = sender.shape(0);
  d.loop = loop;
  d.padded = padded;
  Memory memory(lay_out(d, nullptr), poison);
  lay_out(d, memory.bytes.data());
  auto first = filled<int32_t>({d.num_pairs()}, poison), pair = filled<int32_t>({d.num_edges}, poison);
  d.first = first.mutable_data();
  d.pair = pair.mutable_data();
  distinct_pairs(d, few, 64, Stream());
  memory.check();
  return py::make_tuple(first, pair);
}

// Exclusive prefix sums by tiles, as the search makes them.
__global__ void scan_tiles(const int32_t* counts, int64_t length, const int64_t* tiles, int64_t* out) {
  const int64_t tile = blockIdx.x;
  scan_range(counts, tile * kTile, tile_end(tile, length), sum_range(tiles, 0, tile),
             [&](int64_t i, int64_t before) { out[i] = before; });
}

Array<int64_t> scan(Array<int32_t> counts, int num_threads) {
  const int64_t length = counts.shape(0), num_tiles = divide_up(length, kTile);
  std::vector<int64_t> tiles(num_tiles);
  auto out = filled<int64_t>({length}, 0xff);
  TMD_LAUNCH(sum_tiles<int32_t>, num_tiles, num_threads, Stream(), counts.data(), length, tiles.data());
  TMD_LAUNCH(scan_tiles, num_tiles, num_threads, Stream(), counts.data(), length, tiles.data(), out.mutable_data());
  return out;
}

// Kernels with the mistakes that the emulation must find.
__global__ void leave_before_barrier() {
  if (threadIdx.x >= 7) __syncthreads();
}
__global__ void leave_before_collective() {
  if (threadIdx.x >= 7) __ballot_sync(kAllLanes, true);
}
__global__ void meet_at_different_places() {
  if (threadIdx.x >= 7) __ballot_sync(kAllLanes, true);
  else __syncwarp();
}
__global__ void load_across_words(const int* from, int* out) {
  out[threadIdx.x] = __ldg(reinterpret_cast<const int4*>(from + threadIdx.x)).x;
}
__global__ void store_across_words(int* to) {
  __stwb(reinterpret_cast<int4*>(to + 4 * threadIdx.x), int4{});
}
__global__ void forget_barrier(int* out) {
  __shared__ int values[64];
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  out[threadIdx.x] = values[63 - threadIdx.x];
  values[threadIdx.x] = -1;
}

// Each lane's own number, its left neighbour's, that of the lane with the last bit flipped, that of lane 5, and which
// lanes are odd; two blocks' sum of 1.
__global__ void use_collectives(int* out, int* sum) {
  const int lane = lane_of_thread(), thread = static_cast<int>(threadIdx.x);
  int* own = out + 5 * thread;
  own[0] = lane;
  own[1] = __shfl_up_sync(kAllLanes, thread, 1);
  own[2] = __shfl_xor_sync(kAllLanes, thread, 1);
  own[3] = __shfl_sync(kAllLanes, thread, 5);
  own[4] = static_cast<int>(__ballot_sync(kAllLanes, lane & 1));
  atomicAdd(sum, 1);
}

template <class T>
void add_typed(py::module_& m) {
  m.def("neighbor_pairs", &neighbor_pairs<T>);
  m.def("pair_vectors", &pair_vectors_of<T>);
  m.def("pair_vectors_transpose", &pair_vectors_transpose_of<T>);
}

PYBIND11_MODULE(emulated_kernels, m) {
  py::class_<Schedule>(m, "Schedule")
      .def(py::init([](int64_t one_block, int64_t sort_in_block, int block, int large_block) {
        return Schedule{one_block, sort_in_block, block, large_block};
      }));
  auto single = m.def_submodule("float32"), twice = m.def_submodule("float64");
  add_typed<float>(single);
  add_typed<double>(twice);
  m.def("distinct_pairs", &distinct_pairs_of);
  m.def("scan", &scan);
  m.attr("tile") = kTile;
  m.def("leave_before_barrier", [] { TMD_LAUNCH(leave_before_barrier, 1, 64, Stream()); });
  m.def("leave_before_collective", [] { TMD_LAUNCH(leave_before_collective, 1, 64, Stream()); });
  m.def("meet_at_different_places", [] { TMD_LAUNCH(meet_at_different_places, 1, 64, Stream()); });
  m.def("forget_barrier", [](unsigned seed) {
    emulation::set_seed(seed);
    auto out = filled<int>({64}, 0);
    TMD_LAUNCH(forget_barrier, 1, 64, Stream(), out.mutable_data());
    return out;
  });
  m.def("load_across_words", [] {
    alignas(16) const int from[36] = {};
    int out[32];
    TMD_LAUNCH(load_across_words, 1, 32, Stream(), static_cast<const int*>(from), static_cast<int*>(out));
  });
  m.def("store_across_words", [] {
    alignas(16) int to[132];
    TMD_LAUNCH(store_across_words, 1, 32, Stream(), to + 1);
  });
  m.def("set_seed", &emulation::set_seed);
  m.def("count_launches", [] { return std::exchange(emulation::num_launches, 0); });
  m.def("count_clears", [] { return std::exchange(emulation::num_clears, 0); });
  m.def("set_captures", [](bool captures) { emulation::captures = captures; });
  m.def("count_waits", [] { return std::exchange(emulation::num_waits, 0); });
  m.def("use_collectives", [](unsigned seed) {
    emulation::set_seed(seed);
    auto out = filled<int>({64, 5}, 0);
    int sum = 0;
    TMD_LAUNCH(use_collectives, 2, 64, Stream(), out.mutable_data(), &sum);
    return py::make_tuple(out, sum);
  });
}
