// The pairs of a longer list that are within a shorter cutoff at new positions: what a Verlet list does between two
// searches.
//
// Each row is gone through twice, to count and to write; the order of the longer list is kept, and a row depends on its
// atom alone: the same bits for any number of threads. Memory: a byte a pair of the longer list and one number an atom
// beside the result; 20 bytes and two positions are read for each pair of the longer list.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "../lanes.h"
#include "../neighbor_input.h"
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

// A byte for each pair of the longer list: whether it is kept. Decided once: the loops that count and that write may be
// compiled to different roundings.
template <class T>
TMD_INLINE void count_rows(const PairGeometry<T>* geometry, const KnownGeometry<T>* known, const PairList* list,
                           int64_t begin, int64_t end, uint8_t* kept, int32_t* count, int32_t* faults) {
  T vector[3];
  for (int64_t i = begin; i < end; ++i) {
    *faults |= fault_of_atom(geometry->pos, *known, i);
    int32_t num_kept = 0;
    for (int64_t e = list->row_ptr[i]; e < list->row_ptr[i + 1]; ++e) {
      kept[e] = look_at(*geometry, i, e, vector);
      num_kept += kept[e];
    }
    count[i] = num_kept;
  }
}

template <class T>
TMD_INLINE void write_rows(const PairGeometry<T>* geometry, const PairList* list, const uint8_t* kept,
                           const Pairs<T>* out, int64_t begin, int64_t end) {
  T vector[3];
  for (int64_t i = begin; i < end; ++i) {
    int64_t at = out->row_ptr[i];
    for (int64_t e = list->row_ptr[i]; e < list->row_ptr[i + 1]; ++e) {
      if (!kept[e]) continue;
      look_at(*geometry, i, e, vector);
      for (int x = 0; x < 3; ++x) out->vector[3 * at + x] = vector[x];
      out->distance[at] = std::sqrt(squared_length(vector));
      out->receiver[at] = static_cast<int32_t>(i);
      out->sender[at] = list->sender[e];
      for (int x = 0; out->shift && x < 3; ++x) out->shift[3 * at + x] = list->shift ? list->shift[3 * e + x] : 0;
      ++at;
    }
  }
}

// Pairs that are none, as those of neighbor_pairs.
template <class T>
void write_padding(const Pairs<T>& out, int64_t begin, int64_t end, int64_t num_atoms, double cutoff) {
  const int32_t last = num_atoms ? static_cast<int32_t>(num_atoms - 1) : 0;
  for (int64_t e = begin; e < end; ++e) {
    for (int x = 0; x < 3; ++x) out.vector[3 * e + x] = x == 0 ? static_cast<T>(cutoff) : 0;
    for (int x = 0; out.shift && x < 3; ++x) out.shift[3 * e + x] = 0;
    out.distance[e] = static_cast<T>(cutoff);
    out.receiver[e] = out.sender[e] = last;
  }
}

template <class T>
void refresh(const Tensor& pos, const Tensor& box, const PairGeometry<T>& geometry, const KnownGeometry<T>& known,
             const PairList& list, double cutoff, int64_t capacity, StableIValue* stack) {
  const int32_t index = aoti_torch_dtype_int32();
  const int64_t num_atoms = list.num_atoms;
  const bool with_shift = box.size(0) > 0;
  Tensor row_ptr = pos.empty({num_atoms + 1}, index), status = pos.empty({2}, index);
  int32_t* rows = row_ptr.mutable_data<int32_t>();
  rows[0] = 0;
  const std::unique_ptr<uint8_t[]> kept(new uint8_t[list.num_rows]);
  // Not memcmp: a cell that holds -0 has not changed.
  std::atomic<int32_t> faults{std::equal(known.box, known.box + known.num_box, box.data<T>()) ? 0 : kStaleList};
  parallel_for(num_atoms, kRowGrain, [&](int64_t begin, int64_t end) {
    int32_t own = 0;
    run<count_rows<T>>(&geometry, &known, &list, begin, end, kept.get(), rows + 1, &own);
    faults |= own;
  });
  check_neighbor_faults(faults);
  for (int64_t i = 0; i < num_atoms; ++i) rows[i + 1] += rows[i];  // at most as many as in the longer list: an int32
  const int64_t total = rows[num_atoms];
  if (capacity >= 0 && total > capacity) fail_overflow(total, capacity);
  const int64_t num_rows = capacity >= 0 ? capacity : total;
  int32_t* told = status.mutable_data<int32_t>();
  told[0] = static_cast<int32_t>(total);
  told[1] = 0;
  Tensor vector = pos.empty_like({num_rows, 3}), distance = pos.empty_like({num_rows});
  Tensor receiver = pos.empty({num_rows}, index), sender = pos.empty({num_rows}, index);
  Tensor shift = pos.empty({with_shift ? num_rows : 0, 3}, index);
  const Pairs<T> out{vector.mutable_data<T>(),         distance.mutable_data<T>(),
                     receiver.mutable_data<int32_t>(), sender.mutable_data<int32_t>(),
                     with_shift ? shift.mutable_data<int32_t>() : nullptr, rows};
  ask_huge_pages(out.vector, 3 * num_rows * sizeof(T));
  ask_huge_pages(out.distance, num_rows * sizeof(T));
  ask_huge_pages(out.receiver, num_rows * sizeof(int32_t));
  ask_huge_pages(out.sender, num_rows * sizeof(int32_t));
  if (out.shift) ask_huge_pages(out.shift, 3 * num_rows * sizeof(int32_t));
  parallel_for(num_atoms, kRowGrain, [&](int64_t begin, int64_t end) {
    run<write_rows<T>>(&geometry, &list, const_cast<const uint8_t*>(kept.get()), &out, begin, end);
  });
  write_padding(out, total, num_rows, num_atoms, cutoff);
  Tensor* results[] = {&vector, &distance, &receiver, &sender, &shift, &row_ptr, &status};
  for (int k = 0; k < 7; ++k) stack[k] = results[k]->release();
}

}  // namespace

// refresh_pairs(pos, batch, box, sender, shift, row_ptr, known_pos, known_box, reach, cutoff_lower, cutoff_upper,
//   capacity) -> (vector, distance, receiver, sender, shift, row_ptr, status)
void refresh_pairs(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor pos(stack[0]), batch(stack[1]), box(stack[2]), sender(stack[3]), shift(stack[4]), row_ptr(stack[5]);
  const Tensor known_pos(stack[6]), known_box(stack[7]);
  const double reach = argument<double>(stack[8]), lower = argument<double>(stack[9]);
  const double upper = argument<double>(stack[10]);
  const int64_t capacity = argument<int64_t>(stack[11]);
  require_float(pos, "positions must be float32 or float64");
  require(pos.dim() == 2 && pos.size(1) == 3 && pos.contiguous(), "positions must be contiguous, of shape (N, 3)");
  require_countable(capacity);
  const PairList list = check_pairs(nullptr, sender, shift, row_ptr, pos.size(0));
  if (list.shift) check_boxes(pos, box, batch);
  check_known_arrays(known_pos, known_box, pos, box);
  for_type(pos, [&](auto zero) {
    using T = decltype(zero);
    const T low = static_cast<T>(lower), high = static_cast<T>(upper), far = static_cast<T>(reach);
    const PairGeometry<T> geometry{pos.data<T>(), list.shift ? box.data<T>() : nullptr, batch.data<int64_t>(),
                                   list.sender,   list.shift,                           low * low,
                                   high * high};
    const KnownGeometry<T> known{known_pos.size(0) ? known_pos.data<T>() : nullptr, known_box.data<T>(), far * far,
                                 9 * known_box.size(0)};
    refresh(pos, box, geometry, known, list, upper, capacity, stack);
  });
}

}  // namespace torchmdnet
