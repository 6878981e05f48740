// The edges of a graph as the CUDA versions of tensor_message and tensor_environment take them: checked in shape and
// type only.
#pragma once
#include "graph_edges.cuh"
#include "torch_cuda.h"

namespace torchmdnet {

inline GraphEdges graph_edges(const Tensor& sender, const Tensor& row_ptr, const Tensor& pair, int64_t num_atoms,
                              int64_t num_pairs, int64_t channels) {
  check_edge_arrays(sender, row_ptr, pair, num_atoms);
  return {sender.data<int32_t>(), row_ptr.data<int32_t>(), pair.data<int32_t>(), num_atoms,
          sender.size(0),         num_pairs,               channels,             nullptr};
}

}  // namespace torchmdnet
