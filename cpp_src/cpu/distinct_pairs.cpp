// Which edges are one pair: an edge and its reverse, and all edges from an atom to itself.
//
// The edges from lower to higher atoms (and, between an atom and its own images, to the images that `is_forward`
// tells) number the pairs, in their order; each other edge looks for its reverse in the row of its sender. Work: the
// mean length of a row for each edge, read side by side; memory: one number an atom.
#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "../lanes.h"
#include "../neighbor_grid.h"
#include "../torch_abi.h"
#include "huge_pages.h"
#include "pair_list.h"

namespace torchmdnet {
namespace {

constexpr int64_t kRowGrain = 256;  // atoms worth a thread

enum class Kind { kForward, kBackward, kSelf };

TMD_INLINE Kind kind_of(const PairList& list, int64_t i, int64_t e) {
  const int64_t j = list.sender[e];
  if (j != i) return j > i ? Kind::kForward : Kind::kBackward;
  if (!list.shift) return Kind::kSelf;
  const int32_t* s = list.shift + 3 * e;
  if (!(s[0] | s[1] | s[2])) return Kind::kSelf;
  return is_forward(s[0], s[1], s[2]) ? Kind::kForward : Kind::kBackward;
}

// First place in [begin, end) that holds the value, or end.
TMD_INLINE int64_t find(const int32_t* data, int64_t begin, int64_t end, int32_t value) {
  constexpr int kBlock = 16;
  for (; begin + kBlock <= end; begin += kBlock) {
    int32_t hit = 0;
    for (int k = 0; k < kBlock; ++k) hit |= data[begin + k] == value;
    if (hit) break;
  }
  while (begin < end && data[begin] != value) ++begin;
  return begin;
}

TMD_INLINE bool opposite(const int32_t* shift, int64_t one, int64_t other) {
  if (!shift) return true;
  const int32_t *a = shift + 3 * one, *b = shift + 3 * other;
  return !((a[0] + b[0]) | (a[1] + b[1]) | (a[2] + b[2]));
}

// Pairs that the rows of atoms [begin, end) begin.
TMD_INLINE void count_rows(const PairList* list, int64_t begin, int64_t end, int32_t* count) {
  for (int64_t i = begin; i < end; ++i) {
    count[i] = 0;
    for (int64_t e = list->row_ptr[i]; e < list->row_ptr[i + 1]; ++e) count[i] += kind_of(*list, i, e) == Kind::kForward;
  }
}

TMD_INLINE void number_rows(const PairList* list, int64_t begin, int64_t end, const int32_t* base, int32_t* first,
                            int32_t* pair) {
  for (int64_t i = begin; i < end; ++i) {
    int32_t next = base[i];
    for (int64_t e = list->row_ptr[i]; e < list->row_ptr[i + 1]; ++e) {
      const Kind kind = kind_of(*list, i, e);
      if (kind == Kind::kForward) {
        first[next] = static_cast<int32_t>(e);
        pair[e] = next++;
      } else if (kind == Kind::kSelf) {
        pair[e] = 0;
      }
    }
  }
}

TMD_INLINE void match_rows(const PairList* list, int64_t begin, int64_t end, int32_t* pair, bool* complete) {
  for (int64_t i = begin; i < end; ++i) {
    for (int64_t e = list->row_ptr[i]; e < list->row_ptr[i + 1]; ++e) {
      if (kind_of(*list, i, e) != Kind::kBackward) continue;
      const int64_t j = list->sender[e], last = list->row_ptr[j + 1];
      int64_t at = find(list->sender, list->row_ptr[j], last, static_cast<int32_t>(i));
      while (at < last && !opposite(list->shift, e, at)) at = find(list->sender, at + 1, last, static_cast<int32_t>(i));
      if (at == last) *complete = false;
      else pair[e] = pair[at];
    }
  }
}

}  // namespace

// distinct_pairs(sender, shift, row_ptr, loop, padded) -> (first, pair)
void distinct_pairs(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor sender(stack[0]), shift(stack[1]), row_ptr(stack[2]);
  const bool loop = argument<bool>(stack[3]), padded = argument<bool>(stack[4]);
  const int64_t num_atoms = row_ptr.size(0) - 1;
  const PairList list = check_pairs(nullptr, sender, shift, row_ptr, num_atoms);
  const int64_t num_edges = list.row_ptr[num_atoms], self_rows = loop && num_atoms > 0;
  const int64_t num_pairs = std::max<int64_t>(list.num_rows - loop * num_atoms, 0) / 2 + self_rows + padded;

  std::vector<int32_t> base(num_atoms + 1);
  parallel_for(num_atoms, kRowGrain, [&](int64_t begin, int64_t end) { run<count_rows>(&list, begin, end, base.data()); });
  int32_t next = static_cast<int32_t>(self_rows);
  for (int64_t i = 0; i < num_atoms; ++i) next += std::exchange(base[i], next);
  require(2 * (next - self_rows) + loop * num_atoms == num_edges, "not a full list: an edge has no reverse, or loop is wrong");
  Tensor first = sender.empty_like({num_pairs}), pair = sender.empty_like({list.num_rows});
  int32_t *firsts = first.mutable_data<int32_t>(), *pairs = pair.mutable_data<int32_t>();
  ask_huge_pages(firsts, num_pairs * sizeof(int32_t));
  ask_huge_pages(pairs, list.num_rows * sizeof(int32_t));
  if (self_rows) firsts[0] = 0;
  parallel_for(num_atoms, kRowGrain,
               [&](int64_t begin, int64_t end) { run<number_rows>(&list, begin, end, base.data(), firsts, pairs); });
  std::atomic<bool> complete{true};
  parallel_for(num_atoms, kRowGrain, [&](int64_t begin, int64_t end) {
    bool ours = true;
    run<match_rows>(&list, begin, end, pairs, &ours);
    if (!ours) complete = false;
  });
  require(complete, "not a full list: an edge has no reverse");
  // Rows without a pair, and edges that are padding, belong to the last row, whose edge is padding if any is.
  std::fill(firsts + next, firsts + num_pairs, static_cast<int32_t>(std::max<int64_t>(list.num_rows - 1, 0)));
  std::fill(pairs + num_edges, pairs + list.num_rows, static_cast<int32_t>(std::max<int64_t>(num_pairs - 1, 0)));
  stack[0] = first.release();
  stack[1] = pair.release();
}

}  // namespace torchmdnet
