// All pairs of atoms within a cutoff, in any cells, sorted by receiver; see cpu/neighbor_pairs.cpp.
#include <cstring>

#include "../neighbor_input.h"
#include "host_status.h"
#include "neighbor_schedule.cuh"
#include "torch_cuda.h"

namespace torchmdnet {
namespace {

// The number of pairs, which the host has to know before it can make arrays of that size: the one synchronisation.
int64_t fetch_num_pairs(const int32_t* status, Stream stream) {
  const HostStatus found = fetch_status(status, stream, "the neighbour search", "give a capacity");
  check_neighbor_faults(found.faults);
  return found.count;
}

template <class T>
Search<T> make_search(const Tensor& pos, const Tensor& batch, const Tensor& box, const Tensor& periodic,
                      const NeighborOptions& options) {
  Search<T> s{};
  s.pos = pos.data<T>();
  s.batch = batch.data<int64_t>();
  s.box = box.size(0) ? box.data<T>() : nullptr;
  s.periodic = periodic.size(0) ? periodic.data<bool>() : nullptr;
  s.num_atoms = pos.size(0);
  s.num_systems = options.num_systems;
  s.cutoff = options.upper;
  s.lower_squared = static_cast<T>(options.lower) * static_cast<T>(options.lower);
  s.upper_squared = static_cast<T>(options.upper) * static_cast<T>(options.upper);
  s.loop = options.loop;
  s.half = options.half;
  return s;
}

// On the current stream. With a capacity nothing waits for the device, and the launches can be captured in a graph:
// faults and overflow are told by status, and make all edges NaN. Without one, the host waits once for eight bytes.
//
// Launches: 2, 3 or 13 (neighbor_schedule.cuh). Deterministic. An atom reads the coordinates of its candidates twice,
// 27 bins' worth or so (mostly from the caches); each edge is written once: 24 bytes in float32, and 12 of shift. O(N)
// bytes beside.
template <class T>
void neighbor_pairs_of(const Tensor& pos, const Tensor& batch, const Tensor& box, const Tensor& periodic,
                       const NeighborOptions& options, Stream stream, StableIValue* stack) {
  const Schedule schedule;
  Search<T> s = make_search<T>(pos, batch, box, periodic, options);
  const Tensor memory = scratch(pos, lay_out(s, nullptr));
  lay_out(s, memory.mutable_data<char>());

  const int32_t index = aoti_torch_dtype_int32();
  Tensor row_ptr = pos.empty({pos.size(0) + 1}, index), status = pos.empty({2}, index);
  Rows<T> rows{};
  rows.row_ptr = row_ptr.mutable_data<int32_t>();
  rows.status = status.mutable_data<int32_t>();
  rows.capacity = options.capacity;
  find_rows(s, rows, schedule, stream);
  if (options.capacity < 0) rows.capacity = fetch_num_pairs(rows.status, stream);

  const int64_t num_rows = rows.capacity;
  Tensor vector = pos.empty_like({num_rows, 3}), distance = pos.empty_like({num_rows});
  Tensor receiver = pos.empty({num_rows}, index), sender = pos.empty({num_rows}, index);
  Tensor shift = pos.empty({box.size(0) ? num_rows : 0, 3}, index);
  rows.vector = vector.mutable_data<T>();
  rows.distance = distance.mutable_data<T>();
  rows.receiver = receiver.mutable_data<int32_t>();
  rows.sender = sender.mutable_data<int32_t>();
  rows.shift = s.box ? shift.mutable_data<int32_t>() : nullptr;
  write_rows(s, rows, schedule, stream);

  Tensor* results[] = {&vector, &distance, &receiver, &sender, &shift, &row_ptr, &status};
  for (int k = 0; k < 7; ++k) stack[k] = results[k]->release();
}

}  // namespace

void neighbor_pairs_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor pos(stack[0]), batch(stack[1]), box(stack[2]), periodic(stack[3]);
  const NeighborOptions options(stack + 4);
  check_neighbor_input(pos, batch, box, periodic, options);
  require_countable(options.capacity);
  const OnDevice device({&pos, &batch, &box, &periodic});
  for_type(pos, [&](auto zero) {
    neighbor_pairs_of<decltype(zero)>(pos, batch, box, periodic, options, device.stream(), stack);
  });
}

}  // namespace torchmdnet
