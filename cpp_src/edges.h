// The edges of a graph as the ops take them, and the tensors of 1 + 3 + 5 components that travel along them.
#pragma once
#include "shared.h"
#include "torch_abi.h"

namespace torchmdnet {

constexpr int kComponents = 9;
constexpr int kParts = 3;
// The part that a component belongs to; the array for the CPU, where it is a constant in vectorised loops.
TMD_SHARED constexpr int part_of(int component) { return component == 0 ? 0 : component < 4 ? 1 : 2; }
constexpr int kPart[kComponents] = {part_of(0), part_of(1), part_of(2), part_of(3), part_of(4),
                                    part_of(5), part_of(6), part_of(7), part_of(8)};
constexpr const char* kNotOneGraph = "sender, row_ptr and pair are not of one graph";
constexpr int64_t kGrainValues = 1 << 15;  // work, in multiply-adds, worth a thread

// Edges e in [row_ptr[i], row_ptr[i + 1]) come in to atom i from sender[e]; pair[e] is their row of an array of pairs.
// Those after row_ptr[num_atoms] are padding and belong to no atom.
struct Edges {
  const int32_t *sender, *row_ptr, *pair;
  int64_t num_atoms, num_edges, num_pairs;

  // Atoms that are worth a thread when sums over neighbours are made.
  int64_t atoms_per_task(int64_t num_channels) const {
    const int64_t work = kComponents * num_channels * (num_edges + num_atoms) + 1;
    return num_atoms * kGrainValues / work + 1;
  }
};

// Shapes and types only.
inline void check_edge_arrays(const Tensor& sender, const Tensor& row_ptr, const Tensor& pair, int64_t num_atoms) {
  for (const Tensor* index : {&sender, &row_ptr, &pair})
    require(index->dim() == 1 && index->contiguous() && index->dtype() == aoti_torch_dtype_int32(),
            "sender, row_ptr and pair must be contiguous int32 vectors");
  require(pair.size(0) == sender.size(0) && row_ptr.size(0) == num_atoms + 1, kNotOneGraph);
}

// Refuses whatever would make an op read or write out of bounds.
inline Edges check_edges(const Tensor& sender, const Tensor& row_ptr, const Tensor& pair, int64_t num_atoms,
                         int64_t num_pairs) {
  check_edge_arrays(sender, row_ptr, pair, num_atoms);
  const Edges edges{sender.data<int32_t>(), row_ptr.data<int32_t>(), pair.data<int32_t>(),
                    num_atoms,              sender.size(0),          num_pairs};
  require(edges.row_ptr[0] == 0 && edges.row_ptr[num_atoms] <= edges.num_edges, kNotOneGraph);
  // Without a way out of the loops, so that many edges are looked at together.
  constexpr int64_t kMost = int64_t(1) << 31;  // more than an index can reach
  const uint32_t senders = static_cast<uint32_t>(num_atoms < kMost ? num_atoms : kMost);
  const uint32_t pairs = static_cast<uint32_t>(num_pairs < kMost ? num_pairs : kMost);
  uint32_t descends = 0, strangers = 0, rowless = 0;
  for (int64_t i = 0; i < num_atoms; ++i) descends |= edges.row_ptr[i] > edges.row_ptr[i + 1];
  for (int64_t e = 0; e < edges.num_edges; ++e) {
    strangers |= static_cast<uint32_t>(edges.sender[e]) >= senders;
    rowless |= static_cast<uint32_t>(edges.pair[e]) >= pairs;
  }
  require(!descends, "row_ptr descends");
  require(!strangers, "a sender is not an atom");
  require(!rowless, "an edge's pair has no row");
  return edges;
}

}  // namespace torchmdnet
