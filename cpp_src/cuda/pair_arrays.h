// The arrays of a list of pairs as the CUDA ops take them. Only shapes and types are looked at: to look at the numbers
// would mean to wait for the device, so that kernels take care of indices that are none.
#pragma once
#include "../torch_abi.h"

namespace torchmdnet {

// receiver is null for ops that take none.
inline void check_pair_arrays(const Tensor* receiver, const Tensor& sender, const Tensor& shift, const Tensor& row_ptr,
                              int64_t num_atoms) {
  for (const Tensor* one : {receiver ? receiver : &sender, &sender, &row_ptr})
    require(one->dtype() == aoti_torch_dtype_int32() && one->dim() == 1 && one->contiguous(),
            "receiver, sender and row_ptr must be contiguous int32 vectors");
  require(shift.dtype() == aoti_torch_dtype_int32() && shift.dim() == 2 && shift.size(1) == 3 && shift.contiguous(),
          "shift must be int32, contiguous, of shape (E, 3) or (0, 3)");
  const int64_t rows = sender.size(0);
  require((!receiver || receiver->size(0) == rows) && (shift.size(0) == 0 || shift.size(0) == rows) &&
              row_ptr.size(0) == num_atoms + 1,
          "receiver, sender, shift and row_ptr are not of one list");
}

inline void check_batch_array(const Tensor& batch, int64_t num_atoms) {
  require(batch.dtype() == aoti_torch_dtype_int64() && batch.dim() == 1 && batch.contiguous() &&
              batch.size(0) == num_atoms,
          "batch must be int64, contiguous, of shape (N,)");
}

inline void check_box_array(const Tensor& box, const Tensor& pos) {
  require(box.dtype() == pos.dtype() && box.dim() == 3 && box.contiguous() && box.size(1) == 3 && box.size(2) == 3,
          "box must be of the positions' dtype, contiguous, of shape (num_systems, 3, 3)");
}

inline const int32_t* shift_or_null(const Tensor& shift) { return shift.size(0) ? shift.data<int32_t>() : nullptr; }

}  // namespace torchmdnet
