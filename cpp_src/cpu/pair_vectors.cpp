// From positions to the vectors of pairs, and the adjoint map, from gradients of vectors to those of positions.
//
//   pair_vectors            out[e] = pos[receiver e] - pos[sender e] - shift[e] box[batch(receiver e)]
//   pair_vectors_transpose  out[i] = sum over edges e received by i of g[e]  -  sum over edges e sent by i of g[e],
//                           box[b] = - sum over edges e of system b of shift[e]^T g[e]
//
// Both are linear: derivatives of any order are these two. Rows after row_ptr[N] are padding: their vectors are zero
// here, and they are left out of the sums. The adjoint adds into one array for each of a few parts of the edges, whose
// number depends on the number of edges alone: the same bits for any number of threads. Memory: three values an atom
// and part; 3 + 3 values and one index an edge are read.
#include <algorithm>
#include <vector>

#include "../lanes.h"
#include "../torch_abi.h"
#include "huge_pages.h"
#include "pair_list.h"

namespace torchmdnet {
namespace {

constexpr int64_t kEdgeGrain = 1 << 14;  // edges worth a thread
constexpr int64_t kPartEdges = 1 << 17;
constexpr int64_t kMostParts = 16;

template <class T>
TMD_INLINE void vectors(const T* pos, const T* box, const int64_t* batch, const PairList* list, int64_t begin,
                        int64_t end, T* out) {
  for (int64_t e = begin; e < end; ++e) {
    const T *a = pos + 3 * int64_t(list->receiver[e]), *b = pos + 3 * int64_t(list->sender[e]);
    T shift[3] = {0, 0, 0};
    if (list->shift) {
      const int32_t* s = list->shift + 3 * e;
      const T* cell = box + 9 * batch[list->receiver[e]];
      for (int x = 0; x < 3; ++x) shift[x] = s[0] * cell[x] + s[1] * cell[3 + x] + s[2] * cell[6 + x];
    }
    for (int x = 0; x < 3; ++x) out[3 * e + x] = (a[x] - b[x]) - shift[x];
  }
}

// Adds the edges of receivers [begin, end) into one part's arrays.
template <class T>
TMD_INLINE void add_edges(const T* grad, const int64_t* batch, const PairList* list, int64_t begin, int64_t end,
                          T* atoms, T* boxes) {
  for (int64_t i = begin; i < end; ++i) {
    T own[3] = {0, 0, 0}, cell[9] = {};
    for (int64_t e = list->row_ptr[i]; e < list->row_ptr[i + 1]; ++e) {
      T* other = atoms + 3 * int64_t(list->sender[e]);
      for (int x = 0; x < 3; ++x) {
        own[x] += grad[3 * e + x];
        other[x] -= grad[3 * e + x];
      }
      if (boxes)
        for (int k = 0; k < 9; ++k) cell[k] -= list->shift[3 * e + k / 3] * grad[3 * e + k % 3];
    }
    for (int x = 0; x < 3; ++x) atoms[3 * i + x] += own[x];
    if (boxes)
      for (int k = 0; k < 9; ++k) boxes[9 * batch[i] + k] += cell[k];
  }
}

template <class T>
void transpose_of(const Tensor& grad, const Tensor& batch, const PairList& list, int64_t num_systems, bool with_box,
                  StableIValue* stack) {
  const int64_t num_atoms = list.num_atoms, num_edges = list.row_ptr[num_atoms];
  const int64_t parts = std::min(std::max<int64_t>(num_edges / kPartEdges, 1), kMostParts);
  const int64_t num_cells = with_box ? num_systems : 0, size = 3 * num_atoms + 9 * num_cells;
  Tensor pos_out = grad.empty_like({num_atoms, 3}), box_out = grad.empty_like({num_cells, 3, 3});
  const auto receivers_before = [&](int64_t part) {  // parts of about as many edges each
    const int32_t edge = static_cast<int32_t>(num_edges * part / parts);
    if (part == parts) return num_atoms;
    return static_cast<int64_t>(std::lower_bound(list.row_ptr, list.row_ptr + num_atoms, edge) - list.row_ptr);
  };
  std::vector<T> sums(parts * size);
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      T* atoms = sums.data() + part * size;
      run<add_edges<T>>(grad.data<T>(), batch.data<int64_t>(), &list, receivers_before(part),
                        receivers_before(part + 1), atoms, with_box ? atoms + 3 * num_atoms : nullptr);
    }
  });
  T *pos = pos_out.mutable_data<T>(), *box = box_out.mutable_data<T>();
  parallel_for(size, kEdgeGrain, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      T sum = 0;
      for (int64_t part = 0; part < parts; ++part) sum += sums[part * size + k];
      (k < 3 * num_atoms ? pos[k] : box[k - 3 * num_atoms]) = sum;
    }
  });
  stack[0] = pos_out.release();
  stack[1] = box_out.release();
}

}  // namespace

// pair_vectors(pos, box, batch, receiver, sender, shift, row_ptr) -> vector
void pair_vectors(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor pos(stack[0]), box(stack[1]), batch(stack[2]), receiver(stack[3]), sender(stack[4]), shift(stack[5]),
      row_ptr(stack[6]);
  require_float(pos, "positions must be float32 or float64");
  require(pos.dim() == 2 && pos.size(1) == 3 && pos.contiguous(), "positions must be contiguous, of shape (N, 3)");
  const PairList list = check_pairs(&receiver, sender, shift, row_ptr, pos.size(0));
  if (list.shift) check_boxes(pos, box, batch);
  Tensor out = pos.empty_like({list.num_rows, 3});
  for_type(pos, [&](auto zero) {
    using T = decltype(zero);
    T* data = out.mutable_data<T>();
    ask_huge_pages(data, 3 * list.num_rows * sizeof(T));
    const int64_t num_edges = list.row_ptr[list.num_atoms];
    parallel_for(num_edges, kEdgeGrain, [&](int64_t begin, int64_t end) {
      run<vectors<T>>(pos.data<T>(), list.shift ? box.data<T>() : nullptr, batch.data<int64_t>(), &list, begin, end,
                      data);
    });
    std::fill(data + 3 * num_edges, data + 3 * list.num_rows, T(0));
  });
  stack[0] = out.release();
}

// pair_vectors_transpose(grad, batch, sender, shift, row_ptr, num_systems, with_box) -> (pos, box)
void pair_vectors_transpose(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor grad(stack[0]), batch(stack[1]), sender(stack[2]), shift(stack[3]), row_ptr(stack[4]);
  const int64_t num_systems = argument<int64_t>(stack[5]);
  const bool with_box = argument<bool>(stack[6]);
  require_float(grad, "gradients must be float32 or float64");
  const PairList list = check_pairs(nullptr, sender, shift, row_ptr, row_ptr.size(0) - 1);
  require(grad.dim() == 2 && grad.size(0) == list.num_rows && grad.size(1) == 3 && grad.contiguous(),
          "the gradient must be contiguous, of shape (E, 3)");
  require(!with_box || list.shift || list.num_rows == 0, "there is no gradient of a box without shifts");
  if (with_box) check_batch(batch, list.num_atoms, num_systems);
  for_type(grad, [&](auto zero) { transpose_of<decltype(zero)>(grad, batch, list, num_systems, with_box, stack); });
}

}  // namespace torchmdnet
