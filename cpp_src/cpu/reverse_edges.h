// Which edge is the reverse of another one: that of the same pair in the other direction.
#pragma once
#include <cstdint>
#include <vector>

#include "../edges.h"

namespace torchmdnet {

// (E,), for padding 0. An edge from an atom to itself or to its image stands for its reverse: all of them are in the
// atom's own row, so that a sum over them and a sum over their reverses is one sum.
inline std::vector<int32_t> reverse_edges(const Edges& edges) {
  constexpr const char* kNone = "an edge has no reverse of the same pair";
  std::vector<int32_t> reverse(edges.num_edges, 0), waiting(edges.num_pairs, -1), receiver(edges.num_pairs);
  int64_t num_waiting = 0;
  for (int64_t i = 0; i < edges.num_atoms; ++i) {
    for (int32_t e = edges.row_ptr[i]; e < edges.row_ptr[i + 1]; ++e) {
      const int32_t j = edges.sender[e], pair = edges.pair[e], other = waiting[pair];
      if (j == i) {
        reverse[e] = e;
      } else if (other < 0) {
        waiting[pair] = e;
        receiver[pair] = static_cast<int32_t>(i);
        ++num_waiting;
      } else {
        require(receiver[pair] == j && edges.sender[other] == i, kNone);
        reverse[e] = other;
        reverse[other] = e;
        waiting[pair] = -1;
        --num_waiting;
      }
    }
  }
  require(num_waiting == 0, kNone);
  return reverse;
}

}  // namespace torchmdnet
