// The exchange between scalars and vectors of atoms, and its derivative; see cpu/vector_exchange.cpp.
//
// On the current stream, without synchronisation; deterministic but for what PyTorch's products are. A thread looks after
// a channel of an atom; neighbouring threads read and write side by side.
#include "vector_exchange.cuh"

#include "../atom_input.h"
#include "products.h"

namespace torchmdnet {
namespace {

// p (N, 3, 3 C) and o (N, 3 C): two products.
void fill_exchange(const Tensor& v, const Tensor& received, const Tensor* maps, const Tensor& p, const Tensor& o) {
  const int64_t rows = v.size(0) * kVectorAxes, C = v.size(2);
  product(rows_of(v, rows, C), maps[3], rows_of(p, rows, kExchangeParts * C));
  affine_product(maps[2], received, maps[0], o);
}

}  // namespace

// vector_exchange(x, v, received, vectors, map, transposed, bias, vector_map, vector_transposed, keeps)
//   -> x (N, C), v (N, 3, C), p (N, 3, 3 C), o (N, 3 C); of no atoms unless they are to be kept
//
// Two products and a launch, which reads 20 and writes 4 numbers a channel of an atom.
void vector_exchange_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), v(stack[1]), received(stack[2]), vectors(stack[3]);
  const Tensor maps[] = {Tensor(stack[4]), Tensor(stack[5]), Tensor(stack[6]), Tensor(stack[7]), Tensor(stack[8])};
  const bool keeps = argument<bool>(stack[9]);
  check_exchange({&x, &received}, {&v, &vectors}, maps);
  const OnDevice device({&x, &v, &received, &vectors, &maps[0], &maps[1], &maps[2], &maps[3], &maps[4]});
  const int64_t N = x.size(0), C = x.size(1);
  Tensor to_x = x.empty_like({N, C}), to_v = x.empty_like({N, kVectorAxes, C});
  Tensor p = x.empty_like({N, kVectorAxes, kExchangeParts * C}), o = x.empty_like({N, kExchangeParts * C});
  fill_exchange(v, received, maps, p, o);
  for_type(x, [&](auto zero) {
    using T = decltype(zero);
    TMD_LAUNCH(vector_exchange_kernel<T>, blocks_for(N * C, kBlock), kBlock, device.stream(), x.data<T>(), v.data<T>(),
               vectors.data<T>(), p.data<T>(), o.data<T>(), N, C, to_x.mutable_data<T>(), to_v.mutable_data<T>());
  });
  stack[0] = to_x.release();
  stack[1] = to_v.release();
  stack[2] = keeps ? p.release() : x.empty_like({0, kVectorAxes, kExchangeParts * C}).release();
  stack[3] = keeps ? o.release() : x.empty_like({0, kExchangeParts * C}).release();
}

// vector_exchange_backward(grad_x, grad_v, v, received, p, o, map, transposed, bias, vector_map, vector_transposed)
//   -> v (N, 3, C), received (N, C)
//
// A launch, which reads 16 and writes 15 numbers a channel of an atom, and two products, after two more where p and o
// were not kept.
void vector_exchange_backward_cuda(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad_x(stack[0]), grad_v(stack[1]), v(stack[2]), received(stack[3]), kept_p(stack[4]), kept_o(stack[5]);
  const Tensor maps[] = {Tensor(stack[6]), Tensor(stack[7]), Tensor(stack[8]), Tensor(stack[9]), Tensor(stack[10])};
  check_exchange({&received, &grad_x}, {&v, &grad_v}, maps);
  const bool keeps = check_kept(kept_p, kept_o, v);
  const OnDevice device({&v, &grad_x, &grad_v, &received, &maps[0], &maps[1], &maps[2], &maps[3], &maps[4]});
  const int64_t N = received.size(0), C = received.size(1), rows = N * kVectorAxes, columns = kExchangeParts * C;
  Tensor to_v = v.empty_like({N, kVectorAxes, C}), to_received = v.empty_like({N, C});
  const Tensor p = v.empty_like({N, kVectorAxes, columns}), o = v.empty_like({N, columns});
  if (!keeps) fill_exchange(v, received, maps, p, o);
  for_type(v, [&](auto zero) {
    using T = decltype(zero);
    const Tensor &from_p = keeps ? kept_p : p, &from_o = keeps ? kept_o : o;
    TMD_LAUNCH(vector_exchange_backward_kernel<T>, blocks_for(N * C, kBlock), kBlock, device.stream(),
               grad_x.data<T>(), grad_v.data<T>(), from_p.data<T>(), from_o.data<T>(), N, C, p.mutable_data<T>(),
               o.mutable_data<T>(), to_v.mutable_data<T>());
  });
  add_product(rows_of(p, rows, columns), maps[4], rows_of(to_v, rows, C));
  product(o, maps[1], to_received);
  stack[0] = to_v.release();
  stack[1] = to_received.release();
}

}  // namespace torchmdnet
