// From positions to the vectors of listed pairs, and the adjoint map; see cpu/pair_vectors.cpp.
#include "pair_vectors.cuh"

#include "pair_arrays.h"
#include "torch_cuda.h"

namespace torchmdnet {

// pair_vectors(pos, box, batch, receiver, sender, shift, row_ptr) -> vector
//
// One launch, a thread an edge, on the current stream, without synchronisation; deterministic. Reads 8 bytes of indices
// and 12 of shift an edge side by side and two positions wherever they are, writes one vector.
void pair_vectors_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor pos(stack[0]), box(stack[1]), batch(stack[2]), receiver(stack[3]), sender(stack[4]), shift(stack[5]),
      row_ptr(stack[6]);
  require_float(pos, "positions must be float32 or float64");
  require(pos.dim() == 2 && pos.size(1) == 3 && pos.contiguous(), "positions must be contiguous, of shape (N, 3)");
  check_pair_arrays(&receiver, sender, shift, row_ptr, pos.size(0));
  if (shift.size(0)) {
    check_box_array(box, pos);
    check_batch_array(batch, pos.size(0));
  }
  const OnDevice device({&pos, &box, &batch, &receiver, &sender, &shift, &row_ptr});
  Tensor vector = pos.empty_like({sender.size(0), 3});
  for_type(pos, [&](auto zero) {
    using T = decltype(zero);
    Displacement<T> d{};
    d.pos = pos.data<T>();
    d.box = shift.size(0) ? box.data<T>() : nullptr;
    d.batch = batch.data<int64_t>();
    d.receiver = receiver.data<int32_t>();
    d.sender = sender.data<int32_t>();
    d.shift = shift_or_null(shift);
    d.row_ptr = row_ptr.data<int32_t>();
    d.num_atoms = pos.size(0);
    d.num_edges = sender.size(0);
    d.num_systems = box.size(0);
    pair_vectors(d, vector.mutable_data<T>(), kBlock, device.stream());
  });
  stack[0] = vector.release();
}

// pair_vectors_transpose(grad, batch, sender, shift, row_ptr, num_systems, with_box) -> (pos, box)
//
// One launch for few atoms, else four, a warp for one row or a few, on the current stream, without synchronisation.
// Deterministic: an atom adds up its own row in a fixed order, and what it sent by atomics on integers (FixedPoint).
// Reads gradients three times and indices twice, side by side, and does four atomics an edge.
void pair_vectors_transpose_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), batch(stack[1]), sender(stack[2]), shift(stack[3]), row_ptr(stack[4]);
  const int64_t num_systems = argument<int64_t>(stack[5]), num_atoms = row_ptr.size(0) - 1;
  const bool with_box = argument<bool>(stack[6]);
  require_float(grad, "gradients must be float32 or float64");
  check_pair_arrays(nullptr, sender, shift, row_ptr, num_atoms);
  require(grad.dim() == 2 && grad.size(0) == sender.size(0) && grad.size(1) == 3 && grad.contiguous(),
          "the gradient must be contiguous, of shape (E, 3)");
  require(!with_box || shift.size(0) || sender.size(0) == 0, "there is no gradient of a box without shifts");
  check_batch_array(batch, num_atoms);
  const OnDevice device({&grad, &batch, &sender, &shift, &row_ptr});
  Tensor grad_pos = grad.empty_like({num_atoms, 3});
  Tensor grad_box = grad.empty_like({with_box ? num_systems : 0, 3, 3});
  for_type(grad, [&](auto zero) {
    using T = decltype(zero);
    Transpose<T> t{};
    t.grad = grad.data<T>();
    t.batch = batch.data<int64_t>();
    t.sender = sender.data<int32_t>();
    t.shift = shift_or_null(shift);
    t.row_ptr = row_ptr.data<int32_t>();
    t.num_atoms = num_atoms;
    t.num_edges = sender.size(0);
    t.num_systems = num_systems;
    t.with_box = with_box;
    t.grad_pos = grad_pos.mutable_data<T>();
    t.grad_box = grad_box.mutable_data<T>();
    const Tensor memory = scratch(grad, lay_out(t, nullptr));
    lay_out(t, memory.mutable_data<char>());
    pair_vectors_transpose(t, kFewAtoms, kRowWarps, kBlock, device.stream());
  });
  stack[0] = grad_pos.release();
  stack[1] = grad_box.release();
}

}  // namespace torchmdnet
