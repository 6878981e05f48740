// The pairs of a longer list that are within a shorter cutoff at new positions: what a Verlet list does between two
// searches.
//
// Each row is gone through twice, to count and to write; the order of the longer list is kept, and a row depends on its
// atom alone: the same bits for any number of threads. Memory: one number an atom beside the result; 20 bytes and two
// positions are read for each pair of the longer list.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "../lanes.h"
#include "../refresh_pairs.h"
#include "../torch_abi.h"
#include "huge_pages.h"
#include "pair_list.h"

namespace torchmdnet {
namespace {

constexpr int64_t kRowGrain = 256;  // atoms worth a thread

template <class T>
struct Pairs {
  T *vector, *distance;
  int32_t *receiver, *sender, *shift;
  const int32_t* row_ptr;
};

template <class T>
TMD_INLINE void count_rows(const PairGeometry<T>* geometry, const PairList* list, int64_t begin, int64_t end,
                           int32_t* count) {
  T vector[3];
  for (int64_t i = begin; i < end; ++i) {
    int32_t kept = 0;
    for (int64_t e = list->row_ptr[i]; e < list->row_ptr[i + 1]; ++e) kept += look_at(*geometry, i, e, vector);
    count[i] = kept;
  }
}

template <class T>
TMD_INLINE void write_rows(const PairGeometry<T>* geometry, const PairList* list, const Pairs<T>* out, int64_t begin,
                           int64_t end) {
  T vector[3];
  for (int64_t i = begin; i < end; ++i) {
    int64_t at = out->row_ptr[i];
    const int64_t last = out->row_ptr[i + 1];
    for (int64_t e = list->row_ptr[i]; e < list->row_ptr[i + 1] && at < last; ++e) {
      if (!look_at(*geometry, i, e, vector)) continue;
      for (int x = 0; x < 3; ++x) out->vector[3 * at + x] = vector[x];
      out->distance[at] = std::sqrt(squared_length(vector));
      out->receiver[at] = static_cast<int32_t>(i);
      out->sender[at] = list->sender[e];
      for (int x = 0; out->shift && x < 3; ++x) out->shift[3 * at + x] = list->shift[3 * e + x];
      ++at;
    }
  }
}

template <class T>
void refresh(const Tensor& pos, const PairGeometry<T>& geometry, const PairList& list, StableIValue* stack) {
  const int32_t index = aoti_torch_dtype_int32();
  const int64_t num_atoms = list.num_atoms;
  Tensor row_ptr = pos.empty({num_atoms + 1}, index);
  int32_t* rows = row_ptr.mutable_data<int32_t>();
  rows[0] = 0;
  parallel_for(num_atoms, kRowGrain, [&](int64_t begin, int64_t end) {
    run<count_rows<T>>(&geometry, &list, begin, end, rows + 1);
  });
  for (int64_t i = 0; i < num_atoms; ++i) rows[i + 1] += rows[i];  // at most as many as in the longer list: an int32
  const int64_t total = rows[num_atoms];
  Tensor vector = pos.empty_like({total, 3}), distance = pos.empty_like({total});
  Tensor receiver = pos.empty({total}, index), sender = pos.empty({total}, index);
  Tensor shift = pos.empty({list.shift ? total : 0, 3}, index);
  const Pairs<T> out{vector.mutable_data<T>(),         distance.mutable_data<T>(),
                     receiver.mutable_data<int32_t>(), sender.mutable_data<int32_t>(),
                     list.shift ? shift.mutable_data<int32_t>() : nullptr, rows};
  ask_huge_pages(out.vector, 3 * total * sizeof(T));
  ask_huge_pages(out.distance, total * sizeof(T));
  ask_huge_pages(out.receiver, total * sizeof(int32_t));
  ask_huge_pages(out.sender, total * sizeof(int32_t));
  if (out.shift) ask_huge_pages(out.shift, 3 * total * sizeof(int32_t));
  parallel_for(num_atoms, kRowGrain, [&](int64_t begin, int64_t end) {
    run<write_rows<T>>(&geometry, &list, &out, begin, end);
  });
  Tensor* results[] = {&vector, &distance, &receiver, &sender, &shift, &row_ptr};
  for (int k = 0; k < 6; ++k) stack[k] = results[k]->release();
}

}  // namespace

// refresh_pairs(pos, batch, box, sender, shift, row_ptr, cutoff_lower, cutoff_upper)
//   -> (vector, distance, receiver, sender, shift, row_ptr)
void refresh_pairs(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor pos(stack[0]), batch(stack[1]), box(stack[2]), sender(stack[3]), shift(stack[4]), row_ptr(stack[5]);
  const double lower = argument<double>(stack[6]), upper = argument<double>(stack[7]);
  require_float(pos, "positions must be float32 or float64");
  require(pos.dim() == 2 && pos.size(1) == 3 && pos.contiguous(), "positions must be contiguous, of shape (N, 3)");
  const PairList list = check_pairs(nullptr, sender, shift, row_ptr, pos.size(0));
  if (list.shift) check_boxes(pos, box, batch);
  for_type(pos, [&](auto zero) {
    using T = decltype(zero);
    const T low = static_cast<T>(lower), high = static_cast<T>(upper);
    const PairGeometry<T> geometry{pos.data<T>(), list.shift ? box.data<T>() : nullptr, batch.data<int64_t>(),
                                   list.sender,   list.shift,                           low * low,
                                   high * high};
    refresh(pos, geometry, list, stack);
  });
}

}  // namespace torchmdnet
