// The exchange between scalars and vectors of atoms, and its derivative (see torchmdnet/ops/vector_exchange.py).
//
// N atoms, C channels, all arrays contiguous. With [p1, p2, p3] = v vector_map (3 rows an atom) and
// [o1, o2, o3] = received map + bias, maps (C, 3 C):
//   new x = x + (p1 . p2) o2 + o3        (N, C), the product over the three axes
//   new v = v + p3 o1 + vectors          (N, 3, C)
// The derivative makes p and o anew, or reads what was kept of them: 12 C numbers an atom, for few atoms.
// Blocks of atoms go through in the cache. Atoms do not meet: the same bits for any number of threads.
#include "../vector_exchange.h"

#include <algorithm>
#include <vector>

#include "../atom_input.h"
#include "../lanes.h"
#include "row_products.h"

namespace torchmdnet {
namespace {

constexpr int kAxes = kVectorAxes, kParts = kExchangeParts;

// The maps as they are, for the results, and transposed (3 C, C), for the derivative.
template <class T>
struct ExchangeMaps {
  const T *map, *transposed, *bias, *vector_map, *vector_transposed;
};

template <class T>
struct ExchangeInput {
  const T *v, *received;
  ExchangeMaps<T> maps;
  const T* zeros;  // (3 C,)
  int64_t num_atoms, channels;
};

// Numbers of p and o of an atom.
constexpr int kOfVectors = kAxes * kParts, kOfScalars = kParts;

// p (rows, 3, 3 C) and o (rows, 3 C) of a block of atoms.
template <class T>
void fill(const ExchangeInput<T>& in, int64_t begin, int64_t rows, T* p, T* o) {
  const int64_t C = in.channels, columns = kParts * C;
  const T* v = in.v + begin * kAxes * C;
  // Before the first layer vectors are zero.
  if (std::all_of(v, v + rows * kAxes * C, [](T number) { return number == 0; }))
    std::fill_n(p, rows * kOfVectors * C, T(0));
  else
    product({v, C}, {in.maps.vector_map, columns}, {rows * kAxes, C, columns}, {in.zeros, 0}, {p, columns});
  product({in.received + begin * C, C}, {in.maps.map, columns}, {rows, C, columns}, {in.maps.bias, 0}, {o, columns});
}

template <class T>
TMD_INLINE void exchange_rows(const ExchangeInput<T>& in, const T* x, const T* vectors, int64_t begin, int64_t rows,
                              const T* p, const T* o, T* to_x, T* to_v) {
  const int64_t C = in.channels;
  for (int64_t i = begin; i < begin + rows; ++i, p += kAxes * kParts * C, o += kParts * C) {
    const T *v = in.v + i * kAxes * C, *added = vectors + i * kAxes * C;
    T* result = to_v + i * kAxes * C;
    TMD_INDEPENDENT
    for (int64_t c = 0; c < C; ++c)
      exchange_channel(x + i * C + c, v + c, added + c, p + c, o + c, C, to_x + i * C + c, result + c);
  }
}

// From p and o to the derivatives by them, which may take their place.
template <class T>
TMD_INLINE void exchange_slopes(const ExchangeInput<T>& in, const T* grad_x, const T* grad_v, int64_t begin,
                                int64_t rows, const T* p, const T* o, T* to_p, T* to_o) {
  const int64_t C = in.channels;
  for (int64_t i = begin; i < begin + rows; ++i) {
    const T *of_x = grad_x + i * C, *of_v = grad_v + i * kAxes * C;
    TMD_INDEPENDENT
    for (int64_t c = 0; c < C; ++c) exchange_slope(of_x + c, of_v + c, p + c, o + c, C, to_p + c, to_o + c);
    p += kOfVectors * C;
    o += kOfScalars * C;
    to_p += kOfVectors * C;
    to_o += kOfScalars * C;
  }
}

// Where p and o are to be kept for the derivative, they are given.
template <class T>
void exchange_cpu(const ExchangeInput<T>& in, const T* x, const T* vectors, T* kept_p, T* kept_o, T* to_x, T* to_v) {
  const int64_t C = in.channels, size = kept_p ? 0 : kRowsAtOnce * (kOfVectors + kOfScalars) * C;
  parallel_blocks<Scratch<T>>(in.num_atoms, size, [&](int64_t begin, int64_t end, Scratch<T>& space) {
    T* p = kept_p ? kept_p + begin * kOfVectors * C : space.data();
    T* o = kept_o ? kept_o + begin * kOfScalars * C : p + kRowsAtOnce * kOfVectors * C;
    fill(in, begin, end - begin, p, o);
    run<exchange_rows<T>>(in, x, vectors, begin, end - begin, static_cast<const T*>(p), static_cast<const T*>(o), to_x,
                          to_v);
  });
}

template <class T>
void backward_cpu(const ExchangeInput<T>& in, const T* grad_x, const T* grad_v, const T* kept_p, const T* kept_o,
                  T* to_v, T* to_received) {
  const int64_t C = in.channels, columns = kParts * C;
  const int64_t size = kRowsAtOnce * (kOfVectors + kOfScalars) * C;
  parallel_blocks<Scratch<T>>(in.num_atoms, size, [&](int64_t begin, int64_t end, Scratch<T>& space) {
    const int64_t rows = end - begin, row = begin * kAxes;
    T *p = space.data(), *o = p + kRowsAtOnce * kOfVectors * C;
    if (!kept_p) fill(in, begin, rows, p, o);
    const T* from_p = kept_p ? kept_p + begin * kOfVectors * C : p;
    const T* from_o = kept_o ? kept_o + begin * kOfScalars * C : o;
    run<exchange_slopes<T>>(in, grad_x, grad_v, begin, rows, from_p, from_o, p, o);
    product({p, columns}, {in.maps.vector_transposed, C}, {rows * kAxes, columns, C}, {grad_v + row * C, C},
            {to_v + row * C, C});
    product({o, columns}, {in.maps.transposed, C}, {rows, columns, C}, {in.zeros, 0}, {to_received + begin * C, C});
  });
}

template <class T>
ExchangeInput<T> exchange_input(const Tensor& v, const Tensor& received, const Tensor* maps,
                                const std::vector<T>& zeros) {
  return {v.data<T>(),
          received.data<T>(),
          {maps[0].data<T>(), maps[1].data<T>(), maps[2].data<T>(), maps[3].data<T>(), maps[4].data<T>()},
          zeros.data(),
          received.size(0),
          received.size(1)};
}

}  // namespace

// vector_exchange(x, v, received, vectors, map, transposed, bias, vector_map, vector_transposed, keeps)
//   -> x (N, C), v (N, 3, C), p (N, 3, 3 C), o (N, 3 C); of no atoms unless they are to be kept
void vector_exchange(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor x(stack[0]), v(stack[1]), received(stack[2]), vectors(stack[3]);
  const Tensor maps[] = {Tensor(stack[4]), Tensor(stack[5]), Tensor(stack[6]), Tensor(stack[7]), Tensor(stack[8])};
  const bool keeps = argument<bool>(stack[9]);
  check_exchange({&x, &received}, {&v, &vectors}, maps);
  const int64_t N = x.size(0), C = x.size(1), num_kept = keeps ? N : 0;
  Tensor to_x = x.empty_like({N, C}), to_v = x.empty_like({N, kAxes, C});
  Tensor p = x.empty_like({num_kept, kAxes, kParts * C}), o = x.empty_like({num_kept, kParts * C});
  for_type(x, [&](auto type) {
    using T = decltype(type);
    const std::vector<T> zeros(kParts * C);
    exchange_cpu<T>(exchange_input<T>(v, received, maps, zeros), x.data<T>(), vectors.data<T>(),
                    keeps ? p.mutable_data<T>() : nullptr, keeps ? o.mutable_data<T>() : nullptr,
                    to_x.mutable_data<T>(), to_v.mutable_data<T>());
  });
  int64_t position = 0;
  for (Tensor* result : {&to_x, &to_v, &p, &o}) stack[position++] = result->release();
}

// vector_exchange_backward(grad_x, grad_v, v, received, p, o, map, transposed, bias, vector_map, vector_transposed)
//   -> v (N, 3, C), received (N, C)
void vector_exchange_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad_x(stack[0]), grad_v(stack[1]), v(stack[2]), received(stack[3]), p(stack[4]), o(stack[5]);
  const Tensor maps[] = {Tensor(stack[6]), Tensor(stack[7]), Tensor(stack[8]), Tensor(stack[9]), Tensor(stack[10])};
  check_exchange({&received, &grad_x}, {&v, &grad_v}, maps);
  const int64_t N = received.size(0), C = received.size(1);
  const bool keeps = check_kept(p, o, v);
  Tensor to_v = received.empty_like({N, kAxes, C}), to_received = received.empty_like({N, C});
  for_type(received, [&](auto type) {
    using T = decltype(type);
    const std::vector<T> zeros(kParts * C);
    backward_cpu<T>(exchange_input<T>(v, received, maps, zeros), grad_x.data<T>(), grad_v.data<T>(),
                    keeps ? p.data<T>() : nullptr, keeps ? o.data<T>() : nullptr, to_v.mutable_data<T>(),
                    to_received.mutable_data<T>());
  });
  stack[0] = to_v.release();
  stack[1] = to_received.release();
}

}  // namespace torchmdnet
