// The tensor of each atom's surroundings with weights read from a table, and its gradients; see
// cpu/table_environment.cpp.
#include "table_environment.cuh"

#include "table_arrays.h"

namespace torchmdnet {

// table_environment(table, s, y, own, other, receiver, sender, row_ptr, pair) -> (9, N, C)
//
// One launch, a warp, or four if atoms are few, for up to 128 channels of an atom, on the current stream, without
// synchronisation; deterministic. Reads 13 C numbers an edge, 12 of the table and one of the sender, and writes 9 C an
// atom: bound by the L2 cache.
void table_environment_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor table(stack[0]), s(stack[1]), y(stack[2]), own(stack[3]), other(stack[4]), receiver(stack[5]),
      sender(stack[6]), row_ptr(stack[7]), pair(stack[8]);
  check_environment_input(table, s, y, own, other, sender);
  const TableArrays arrays{table, s, receiver, sender, row_ptr, pair};
  arrays.check(own.size(0));
  const OnDevice device({&y, &table, &s, &own, &other, &receiver, &sender, &row_ptr, &pair});
  Tensor out = own.empty_like({kComponents, own.size(0), own.size(1)});
  for_type(y, [&](auto zero) {
    using T = decltype(zero);
    const TableEdges<T> edges = arrays.edges<T>(own.size(0));
    const Surroundings<T> in{y.data<T>(), own.data<T>(), other.data<T>()};
    T* to = out.mutable_data<T>();
    for_packs<T>(own.size(1), {edges.table, in.own, in.other, to}, [&](auto width) {
      table_environment<T, width.value>(edges, in, to, device.stream());
    });
  });
  stack[0] = out.release();
}

// table_environment_backward(grad, table, s, y, own, other, receiver, sender, row_ptr, pair) -> (E, 9), (P,)
//
// A clear and two launches, a warp, or four if atoms are few, an atom, on the current stream, without synchronisation;
// deterministic (see slope_sums.cuh). Reads 13 C numbers an edge and 10 C an atom, writes 9 numbers and does one atomic
// an edge.
void table_environment_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), table(stack[1]), s(stack[2]), y(stack[3]), own(stack[4]), other(stack[5]),
      receiver(stack[6]), sender(stack[7]), row_ptr(stack[8]), pair(stack[9]);
  check_environment_input(table, s, y, own, other, sender);
  check_environment_gradient(grad, own);
  const TableArrays arrays{table, s, receiver, sender, row_ptr, pair};
  arrays.check(own.size(0));
  const OnDevice device({&y, &grad, &table, &s, &own, &other, &receiver, &sender, &row_ptr, &pair});
  Tensor to_y = y.empty_like({y.size(0), kComponents}), to_s = y.empty_like({s.size(0)});
  for_type(y, [&](auto zero) {
    using T = decltype(zero);
    const TableEdges<T> edges = arrays.edges<T>(own.size(0));
    const Surroundings<T> in{y.data<T>(), own.data<T>(), other.data<T>()};
    const T* from = grad.data<T>();
    for_packs<T>(own.size(1), {edges.table, in.own, in.other, from}, [&](auto width) {
      SlopeSums<T> sums{to_s.mutable_data<T>(), nullptr, nullptr, team_size(edges.num_atoms)};
      const int64_t chunks = num_chunks(own.size(1), width.value);
      const Tensor memory = scratch(y, lay_out(sums, edges, chunks, nullptr));
      lay_out(sums, edges, chunks, memory.mutable_data<char>());
      table_environment_backward<T, width.value>(edges, in, from, to_y.mutable_data<T>(), sums, device.stream());
    });
  });
  stack[0] = to_y.release();
  stack[1] = to_s.release();
}

}  // namespace torchmdnet
