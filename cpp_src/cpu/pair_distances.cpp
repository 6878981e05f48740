// Distances of pairs from those of their edges, and the derivative (see torchmdnet/ops/pair_distances.py).
//
//   pair_distances           out[p] = distance[first[p]]
//   pair_distances_backward  of grad (P,): out[e] = grad[pair[e]] where e is the first edge of its pair, else 0
//
// One pass each; threads divide what is written.
#include "../pair_distances.h"

#include <atomic>

namespace torchmdnet {
namespace {

constexpr int64_t kPairGrain = 1 << 14;  // numbers worth a thread

}  // namespace

// pair_distances(distance, first, pair) -> (P,)
void pair_distances(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor distance(stack[0]), first(stack[1]), pair(stack[2]);
  check_pair_distances(distance, first, pair);
  const int64_t P = first.size(0), E = distance.size(0);
  Tensor out = distance.empty_like({P});
  for_type(distance, [&](auto type) {
    using T = decltype(type);
    const T* from = distance.data<T>();
    const int32_t* edges = first.data<int32_t>();
    T* to = out.mutable_data<T>();
    std::atomic<bool> wrong{false};  // nothing may be thrown past libtorch's threads
    parallel_for(P, kPairGrain, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const bool is_edge = edges[p] >= 0 && edges[p] < E;
        if (is_edge) to[p] = from[edges[p]];
        else wrong = true;
      }
    });
    require(!wrong, "first names an edge that there is not");
  });
  stack[0] = out.release();
}

// pair_distances_backward(grad, first, pair) -> (E,)
void pair_distances_backward(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), first(stack[1]), pair(stack[2]);
  check_pair_gradient(grad, first, pair);
  const int64_t P = first.size(0), E = pair.size(0);
  Tensor out = grad.empty_like({E});
  for_type(grad, [&](auto type) {
    using T = decltype(type);
    const T* from = grad.data<T>();
    const int32_t *edges = first.data<int32_t>(), *pairs = pair.data<int32_t>();
    T* to = out.mutable_data<T>();
    std::atomic<bool> wrong{false};
    parallel_for(E, kPairGrain, [&](int64_t begin, int64_t end) {
      for (int64_t e = begin; e < end; ++e) {
        const bool is_pair = pairs[e] >= 0 && pairs[e] < P;
        if (is_pair) to[e] = edges[pairs[e]] == e ? from[pairs[e]] : T(0);
        else wrong = true;
      }
    });
    require(!wrong, "pair names a pair that there is not");
  });
  stack[0] = out.release();
}

}  // namespace torchmdnet
