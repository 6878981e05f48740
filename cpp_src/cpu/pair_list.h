// A list of directed pairs, sorted by receiver, as the ops that work on one take it.
#pragma once
#include <cstdint>

#include "../torch_abi.h"

namespace torchmdnet {

struct PairList {
  const int32_t *receiver, *sender;  // receiver is null where an op does not need it
  const int32_t* shift;              // three a row; null where nothing is periodic
  const int32_t* row_ptr;            // rows after row_ptr[num_atoms] are padding
  int64_t num_atoms, num_rows;
};

// Refuses whatever would make an op read or write out of bounds.
inline PairList check_pairs(const Tensor* receiver, const Tensor& sender, const Tensor& shift, const Tensor& row_ptr,
                            int64_t num_atoms) {
  const int32_t index = aoti_torch_dtype_int32();
  for (const Tensor* one : {receiver ? receiver : &sender, &sender, &row_ptr})
    require(one->dtype() == index && one->dim() == 1 && one->contiguous(),
            "receiver, sender and row_ptr must be contiguous int32 vectors");
  require(shift.dtype() == index && shift.dim() == 2 && shift.size(1) == 3 && shift.contiguous(),
          "shift must be int32, contiguous, of shape (E, 3) or (0, 3)");
  const int64_t rows = sender.size(0);
  require((!receiver || receiver->size(0) == rows) && (shift.size(0) == 0 || shift.size(0) == rows) &&
              row_ptr.size(0) == num_atoms + 1,
          "receiver, sender, shift and row_ptr are not of one list");
  const PairList list{receiver ? receiver->data<int32_t>() : nullptr,
                      sender.data<int32_t>(),
                      shift.size(0) ? shift.data<int32_t>() : nullptr,
                      row_ptr.data<int32_t>(),
                      num_atoms,
                      rows};
  require(list.row_ptr[0] == 0 && list.row_ptr[num_atoms] <= rows, "row_ptr does not fit the number of rows");
  bool ascending = true, known = true;
  for (int64_t i = 0; i < num_atoms; ++i) ascending &= list.row_ptr[i] <= list.row_ptr[i + 1];
  for (int64_t e = 0; e < rows; ++e) {
    known &= static_cast<uint32_t>(list.sender[e]) < static_cast<uint64_t>(num_atoms > 0 ? num_atoms : 1);
    if (receiver) known &= static_cast<uint32_t>(list.receiver[e]) < static_cast<uint64_t>(num_atoms > 0 ? num_atoms : 1);
  }
  require(ascending, "row_ptr descends");
  require(known, "a receiver or sender is not an atom");
  return list;
}

inline void check_batch(const Tensor& batch, int64_t num_atoms, int64_t num_systems) {
  require(batch.dtype() == aoti_torch_dtype_int64() && batch.dim() == 1 && batch.contiguous() &&
              batch.size(0) == num_atoms,
          "batch must be int64, contiguous, of shape (N,)");
  bool known = true;
  const int64_t* data = batch.data<int64_t>();
  for (int64_t i = 0; i < num_atoms; ++i)
    known &= static_cast<uint64_t>(data[i]) < static_cast<uint64_t>(num_systems);
  require(known, "batch holds a system number that is negative or too large");
}

inline void check_boxes(const Tensor& pos, const Tensor& box, const Tensor& batch) {
  require(box.dtype() == pos.dtype() && box.dim() == 3 && box.contiguous() && box.size(1) == 3 && box.size(2) == 3,
          "box must be of the positions' dtype, contiguous, of shape (num_systems, 3, 3)");
  check_batch(batch, pos.size(0), box.size(0));
}

}  // namespace torchmdnet
