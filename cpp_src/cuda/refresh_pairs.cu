// The pairs of a longer list that are within a shorter cutoff at new positions; see cpu/refresh_pairs.cpp.
#include "refresh_pairs.cuh"

#include "host_status.h"
#include "pair_arrays.h"

namespace torchmdnet {
namespace {

void check_refresh_faults(int32_t faults) {
  if (faults & kRowsMisfit) fail("row_ptr does not fit the number of rows");
  if (faults & kRowsDescend) fail("row_ptr descends");
  if (faults & kUnknownAtom) fail("a receiver or sender is not an atom");
  if (faults & kUnknownSystem) fail("batch holds a system number that is negative or too large");
}

// On the current stream. The number of rows depends on the positions, so that the host waits once for eight bytes, as
// in a neighbour search of exact length; it cannot be captured in a CUDA graph.
//
// A clear and three launches (four of more than 4096 atoms), a warp a row of the longer list. Deterministic; the order
// of the longer list is kept. For each pair of it 4 bytes of index, 12 of shift, a position wherever it is and a bit
// are read twice, or once if it is not kept; each pair that is kept is written once, side by side: 24 bytes in float32,
// and 12 of shift.
template <class T>
void refresh(const Tensor& pos, Refresh<T>& r, Stream stream, StableIValue* stack) {
  const Tensor memory = scratch(pos, lay_out(r, nullptr));
  lay_out(r, memory.mutable_data<char>());
  const int32_t index = aoti_torch_dtype_int32();
  Tensor row_ptr = pos.empty({r.num_atoms + 1}, index);
  r.kept_row_ptr = row_ptr.mutable_data<int32_t>();
  find_kept(r, kBlock, stream);
  const HostStatus status = fetch_status(r.status, stream, "the list of pairs", "set skin = 0");
  check_refresh_faults(status.faults);

  const int64_t num_kept = status.count;
  Tensor vector = pos.empty_like({num_kept, 3}), distance = pos.empty_like({num_kept});
  Tensor receiver = pos.empty({num_kept}, index), sender = pos.empty({num_kept}, index);
  Tensor shift = pos.empty({r.geometry.shift ? num_kept : 0, 3}, index);
  r.vector = vector.mutable_data<T>();
  r.distance = distance.mutable_data<T>();
  r.receiver = receiver.mutable_data<int32_t>();
  r.sender = sender.mutable_data<int32_t>();
  r.shift = r.geometry.shift ? shift.mutable_data<int32_t>() : nullptr;
  write_kept(r, kBlock, stream);
  Tensor* results[] = {&vector, &distance, &receiver, &sender, &shift, &row_ptr};
  for (int k = 0; k < 6; ++k) stack[k] = results[k]->release();
}

}  // namespace

// refresh_pairs(pos, batch, box, sender, shift, row_ptr, cutoff_lower, cutoff_upper)
//   -> (vector, distance, receiver, sender, shift, row_ptr)
void refresh_pairs_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor pos(stack[0]), batch(stack[1]), box(stack[2]), sender(stack[3]), shift(stack[4]), row_ptr(stack[5]);
  const double lower = argument<double>(stack[6]), upper = argument<double>(stack[7]);
  require_float(pos, "positions must be float32 or float64");
  require(pos.dim() == 2 && pos.size(1) == 3 && pos.contiguous(), "positions must be contiguous, of shape (N, 3)");
  check_pair_arrays(nullptr, sender, shift, row_ptr, pos.size(0));
  if (shift.size(0)) {
    check_box_array(box, pos);
    check_batch_array(batch, pos.size(0));
  }
  const OnDevice device({&pos, &batch, &box, &sender, &shift, &row_ptr});
  for_type(pos, [&](auto zero) {
    using T = decltype(zero);
    const T low = static_cast<T>(lower), high = static_cast<T>(upper);
    Refresh<T> r{};
    r.geometry = {pos.data<T>(),          shift.size(0) ? box.data<T>() : nullptr, batch.data<int64_t>(),
                  sender.data<int32_t>(), shift_or_null(shift),                    low * low,
                  high * high};
    r.row_ptr = row_ptr.data<int32_t>();
    r.num_atoms = pos.size(0);
    r.num_rows = sender.size(0);
    r.num_systems = box.size(0);
    refresh(pos, r, device.stream(), stack);
  });
}

}  // namespace torchmdnet
