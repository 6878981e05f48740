// The arrays of the ops on radial tables as their CUDA versions take them: checked in shape and type only, and as the
// kernels want them.
#pragma once
#include "../table_input.h"
#include "table_edges.cuh"
#include "torch_cuda.h"

namespace torchmdnet {

struct TableArrays {
  const Tensor &table, &s, &receiver, &sender, &row_ptr, &pair;

  void check(int64_t num_atoms) const {
    check_edge_arrays(sender, row_ptr, pair, num_atoms);
    require(receiver.dim() == 1 && receiver.contiguous() && receiver.dtype() == aoti_torch_dtype_int32() &&
                receiver.size(0) == sender.size(0),
            "receiver must be like sender");
  }
  template <class T>
  TableEdges<T> edges(int64_t num_atoms) const {
    return {table.data<T>(),
            s.data<T>(),
            receiver.data<int32_t>(),
            sender.data<int32_t>(),
            row_ptr.data<int32_t>(),
            pair.data<int32_t>(),
            num_atoms,
            sender.size(0),
            s.size(0),
            table.size(table.dim() - 1),
            static_cast<int32_t>(table.size(0))};
  }
};

}  // namespace torchmdnet
