// The pairs of a longer list that are within a shorter cutoff at new positions; see cpu/refresh_pairs.cpp.
#include "refresh_pairs.cuh"

#include "../neighbor_input.h"
#include "host_status.h"
#include "pair_arrays.h"

namespace torchmdnet {
namespace {

// On the current stream. With a capacity nothing waits for the device, and the launches can be captured in a graph:
// faults and overflow are told by status, and make all edges NaN. Without one, the host waits once for eight bytes.
//
// A clear and three launches (four of more than 4096 atoms), a warp a row of the longer list. Deterministic; the order
// of the longer list is kept. For each pair of it 4 bytes of index, 12 of shift, a position wherever it is and a bit
// are read twice, or once if it is not kept; each pair that is kept is written once, side by side: 24 bytes in float32,
// and 12 of shift. Known positions are read once.
template <class T>
void refresh(const Tensor& pos, Refresh<T>& r, int64_t capacity, Stream stream, StableIValue* stack) {
  const Tensor memory = scratch(pos, lay_out(r, nullptr));
  lay_out(r, memory.mutable_data<char>());
  const int32_t index = aoti_torch_dtype_int32();
  Tensor row_ptr = pos.empty({r.num_atoms + 1}, index), status = pos.empty({2}, index);
  Rows<T> rows{};
  rows.row_ptr = row_ptr.mutable_data<int32_t>();
  rows.status = status.mutable_data<int32_t>();
  rows.capacity = capacity;
  find_kept(r, rows, kBlock, stream);
  if (capacity < 0) {
    const HostStatus found = fetch_status(rows.status, stream, "the list of pairs", "give a capacity, or set skin = 0");
    check_neighbor_faults(found.faults);
    rows.capacity = found.count;
  }

  const int64_t num_rows = rows.capacity;
  Tensor vector = pos.empty_like({num_rows, 3}), distance = pos.empty_like({num_rows});
  Tensor receiver = pos.empty({num_rows}, index), sender = pos.empty({num_rows}, index);
  const bool with_shift = r.num_systems > 0;
  Tensor shift = pos.empty({with_shift ? num_rows : 0, 3}, index);
  rows.vector = vector.mutable_data<T>();
  rows.distance = distance.mutable_data<T>();
  rows.receiver = receiver.mutable_data<int32_t>();
  rows.sender = sender.mutable_data<int32_t>();
  rows.shift = with_shift ? shift.mutable_data<int32_t>() : nullptr;
  write_kept(r, rows, kBlock, stream);
  Tensor* results[] = {&vector, &distance, &receiver, &sender, &shift, &row_ptr, &status};
  for (int k = 0; k < 7; ++k) stack[k] = results[k]->release();
}

}  // namespace

// refresh_pairs(pos, batch, box, sender, shift, row_ptr, known_pos, known_box, reach, cutoff_lower, cutoff_upper,
//   capacity) -> (vector, distance, receiver, sender, shift, row_ptr, status)
void refresh_pairs_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor pos(stack[0]), batch(stack[1]), box(stack[2]), sender(stack[3]), shift(stack[4]), row_ptr(stack[5]);
  const Tensor known_pos(stack[6]), known_box(stack[7]);
  const double reach = argument<double>(stack[8]), lower = argument<double>(stack[9]);
  const double upper = argument<double>(stack[10]);
  const int64_t capacity = argument<int64_t>(stack[11]);
  require_float(pos, "positions must be float32 or float64");
  require(pos.dim() == 2 && pos.size(1) == 3 && pos.contiguous(), "positions must be contiguous, of shape (N, 3)");
  require_countable(capacity);
  check_pair_arrays(nullptr, sender, shift, row_ptr, pos.size(0));
  if (shift.size(0)) {
    check_box_array(box, pos);
    check_batch_array(batch, pos.size(0));
  }
  check_known_arrays(known_pos, known_box, pos, box);
  const OnDevice device({&pos, &batch, &box, &sender, &shift, &row_ptr, &known_pos, &known_box});
  for_type(pos, [&](auto zero) {
    using T = decltype(zero);
    const T low = static_cast<T>(lower), high = static_cast<T>(upper), far = static_cast<T>(reach);
    Refresh<T> r{};
    r.geometry = {pos.data<T>(),          shift.size(0) ? box.data<T>() : nullptr, batch.data<int64_t>(),
                  sender.data<int32_t>(), shift_or_null(shift),                    low * low,
                  high * high};
    r.known = {known_pos.size(0) ? known_pos.data<T>() : nullptr, known_box.data<T>(), far * far,
               9 * known_box.size(0)};
    r.box = box.data<T>();
    r.row_ptr = row_ptr.data<int32_t>();
    r.num_atoms = pos.size(0);
    r.num_rows = sender.size(0);
    r.num_systems = box.size(0);
    r.cutoff = upper;
    refresh(pos, r, capacity, device.stream(), stack);
  });
}

}  // namespace torchmdnet
