// Which edges are one pair: an edge and its reverse, and all edges from an atom to itself; see cpu/distinct_pairs.cpp.
#include "distinct_pairs.cuh"

#include "pair_arrays.h"
#include "torch_cuda.h"

namespace torchmdnet {

// distinct_pairs(sender, shift, row_ptr, loop, padded) -> (first, pair)
//
// One launch for few atoms, else five, a warp a row, on the current stream, without synchronisation; deterministic: the
// order in which atomics list edges does not show in the results. Reads sender and shift three times side by side,
// writes both results once, and writes and reads eight bytes a pair. A row of K edges compares up to K^2 / 4 numbers,
// 32 at a time. An edge to a lower atom without its reverse gets pair -1, and so do all to higher ones where there are
// not as many of both: a list that is not full gives NaN.
void distinct_pairs_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor sender(stack[0]), shift(stack[1]), row_ptr(stack[2]);
  Distinct d{};
  d.num_atoms = row_ptr.size(0) - 1;
  d.num_edges = sender.size(0);
  d.loop = argument<bool>(stack[3]);
  d.padded = argument<bool>(stack[4]);
  check_pair_arrays(nullptr, sender, shift, row_ptr, d.num_atoms);
  const OnDevice device({&sender, &shift, &row_ptr});
  Tensor first = sender.empty_like({d.num_pairs()}), pair = sender.empty_like({d.num_edges});
  const Tensor memory = scratch(sender, lay_out(d, nullptr));
  lay_out(d, memory.mutable_data<char>());
  d.sender = sender.data<int32_t>();
  d.shift = shift_or_null(shift);
  d.row_ptr = row_ptr.data<int32_t>();
  d.first = first.mutable_data<int32_t>();
  d.pair = pair.mutable_data<int32_t>();
  distinct_pairs(d, kFewAtoms, kBlock, device.stream());
  stack[0] = first.release();
  stack[1] = pair.release();
}

}  // namespace torchmdnet
