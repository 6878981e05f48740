// Sums over neighbours with weights that are read from a table, and their gradients; see cpu/table_sum.cpp.
#include "table_sum.cuh"

#include "table_arrays.h"

namespace torchmdnet {

// table_sum(table, s, x, receiver, sender, row_ptr, pair) -> (N, C)
//
// One launch, a warp, or four if atoms are few, for up to 128 channels of an atom, on the current stream, without
// synchronisation; deterministic. Reads 7 C numbers an edge, 6 of the table and one of the sender, in pieces of 16
// bytes a lane where C is a multiple of as many numbers, and writes C an atom: bound by the L2 cache.
void table_sum_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor table(stack[0]), s(stack[1]), x(stack[2]), receiver(stack[3]), sender(stack[4]), row_ptr(stack[5]),
      pair(stack[6]);
  check_sum_input(table, s, x);
  const TableArrays arrays{table, s, receiver, sender, row_ptr, pair};
  arrays.check(x.size(0));
  const OnDevice device({&x, &table, &s, &receiver, &sender, &row_ptr, &pair});
  Tensor out = x.empty_like({x.size(0), x.size(1)});
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    const TableEdges<T> edges = arrays.edges<T>(x.size(0));
    const T* from = x.data<T>();
    T* to = out.mutable_data<T>();
    for_packs<T>(x.size(1), {edges.table, from, to}, [&](auto width) {
      table_sum<T, width.value>(edges, from, to, device.stream());
    });
  });
  stack[0] = out.release();
}

// table_sum_backward(grad, table, s, x, receiver, sender, row_ptr, pair) -> (N, C), (P,)
//
// A clear and two launches, a warp, or four if atoms are few, an atom, on the current stream, without synchronisation;
// deterministic (see slope_sums.cuh). Reads 7 C numbers an edge, 6 of the table and one of the sender's gradient, and
// C an atom, writes C an atom and does one atomic an edge. C of more than 128 is gone through in chunks, with a number
// an edge of workspace between them.
void table_sum_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), table(stack[1]), s(stack[2]), x(stack[3]), receiver(stack[4]), sender(stack[5]),
      row_ptr(stack[6]), pair(stack[7]);
  check_sum_input(table, s, x);
  check_sum_gradient(grad, x);
  const TableArrays arrays{table, s, receiver, sender, row_ptr, pair};
  arrays.check(x.size(0));
  const OnDevice device({&x, &grad, &table, &s, &receiver, &sender, &row_ptr, &pair});
  Tensor to_x = x.empty_like({x.size(0), x.size(1)}), to_s = x.empty_like({s.size(0)});
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    const TableEdges<T> edges = arrays.edges<T>(x.size(0));
    const T *from = grad.data<T>(), *features = x.data<T>();
    T* to = to_x.mutable_data<T>();
    for_packs<T>(x.size(1), {edges.table, features, from, to}, [&](auto width) {
      SlopeSums<T> sums{to_s.mutable_data<T>(), nullptr, nullptr, team_size(edges.num_atoms)};
      const int64_t chunks = num_chunks(x.size(1), width.value);
      const Tensor memory = scratch(x, lay_out(sums, edges, chunks, nullptr));
      lay_out(sums, edges, chunks, memory.mutable_data<char>());
      table_sum_backward<T, width.value>(edges, features, from, to, sums, device.stream());
    });
  });
  stack[0] = to_x.release();
  stack[1] = to_s.release();
}

}  // namespace torchmdnet
