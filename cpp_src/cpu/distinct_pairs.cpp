// Which edges are one pair: an edge and its reverse, and all edges from an atom to itself.
//
// The edges from lower to higher atoms (and, between an atom and its own images, to the images that `is_forward`
// tells) number the pairs, in their order. These pairs are then listed by their higher atom, so that the atom can look
// up its edges to lower ones in a table: no searching, O(N + E). Memory: eight bytes a pair, and one number an atom
// and thread.
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

constexpr const char* kNotFull = "not a full list: an edge has no reverse, or loop is wrong";

enum class Kind { kForward = 0, kBackward = 1, kSelf = 2 };

TMD_INLINE Kind kind_of(const PairList& list, int64_t i, int64_t e) {
  const int64_t j = list.sender[e];
  if (__builtin_expect(j == i, 0)) {
    if (!list.shift) return Kind::kSelf;
    const int32_t* s = list.shift + 3 * e;
    if (!(s[0] | s[1] | s[2])) return Kind::kSelf;
    return is_forward(s[0], s[1], s[2]) ? Kind::kForward : Kind::kBackward;
  }
  return static_cast<Kind>(j < i);
}

// A sum over the edges of atoms [begin, end) of something that is opposite for an edge and its reverse: over all edges
// of a full list it is zero. It stands for a look at each edge's reverse, which may be anywhere in memory.
TMD_INLINE void sum_shifts(const PairList* list, int64_t begin, int64_t end, uint64_t* out) {
  uint64_t sum = 0;
  for (int64_t i = begin; i < end; ++i) {
    for (int64_t e = list->row_ptr[i]; e < list->row_ptr[i + 1]; ++e) {
      const int32_t* s = list->shift + 3 * e;
      const int64_t image = s[0] + (int64_t(s[1]) << 20) + (int64_t(s[2]) << 40);
      sum += static_cast<uint64_t>(image) * static_cast<uint64_t>(i + list->sender[e] + 1);
    }
  }
  *out = sum;
}

// Edges to higher and to lower atoms.
TMD_INLINE void count_rows(const PairList* list, int64_t begin, int64_t end, int32_t* forward, int32_t* backward) {
  for (int64_t i = begin; i < end; ++i) {
    int32_t count[3] = {0, 0, 0};
    for (int64_t e = list->row_ptr[i]; e < list->row_ptr[i + 1]; ++e) ++count[static_cast<int>(kind_of(*list, i, e))];
    forward[i] = count[static_cast<int>(Kind::kForward)];
    backward[i] = count[static_cast<int>(Kind::kBackward)];
  }
}

// Writes the edges of atom i of one kind side by side; returns how many. Without branches that cannot be foreseen.
TMD_INLINE int32_t collect(const PairList& list, int64_t i, Kind kind, int32_t* out) {
  int32_t found = 0;
  for (int64_t e = list.row_ptr[i]; e < list.row_ptr[i + 1]; ++e) {
    out[found] = static_cast<int32_t>(e);
    found += kind_of(list, i, e) == kind;
  }
  return found;
}

// Numbers the edges of atoms [begin, end) to higher atoms from base[i] on. edges: room for the longest row.
TMD_INLINE void number_rows(const PairList* list, int64_t begin, int64_t end, const int32_t* base, int32_t* edges,
                            int32_t* first, int32_t* pair) {
  for (int64_t i = begin; i < end; ++i) {
    for (int64_t e = list->row_ptr[i]; e < list->row_ptr[i + 1]; ++e) pair[e] = 0;  // what edges to itself keep
    const int32_t count = collect(*list, i, Kind::kForward, edges);
    for (int32_t k = 0; k < count; ++k) {
      first[base[i] + k] = edges[k];
      pair[edges[k]] = base[i] + k;
    }
  }
}

TMD_INLINE bool opposite(const int32_t* shift, int64_t one, int64_t other) {
  if (!shift) return true;
  const int32_t *a = shift + 3 * one, *b = shift + 3 * other;
  return !((a[0] + b[0]) | (a[1] + b[1]) | (a[2] + b[2]));
}

// A pair, as its higher atom sees it.
struct Incoming {
  int32_t atom, pair;
};

// Pairs by their higher atom, those of atom j from incoming_ptr[j] on, in the order of the lower atoms.
std::vector<Incoming> list_incoming(const PairList& list, const std::vector<int32_t>& base, const int32_t* first,
                                    const std::vector<int32_t>& incoming_ptr) {
  std::vector<Incoming> incoming(incoming_ptr.back());
  std::vector<int32_t> next(incoming_ptr.begin(), incoming_ptr.end() - 1);
  for (int32_t i = 0; i < list.num_atoms; ++i) {
    for (int32_t pair = base[i]; pair < base[i + 1]; ++pair) {
      const int32_t j = list.sender[first[pair]];
      if (next[j] == incoming_ptr[j + 1]) fail(kNotFull);
      incoming[next[j]++] = {i, pair};
    }
  }
  return incoming;
}

// Gives the edges of atoms [begin, end) to lower atoms the numbers of their reverses. table: a number an atom, -1 at
// first; edges: room for the longest row.
TMD_INLINE void match_rows(const PairList* list, int64_t begin, int64_t end, const Incoming* incoming,
                           const int32_t* incoming_ptr, const int32_t* first, int32_t* table, int32_t* edges,
                           int32_t* pair, bool* complete) {
  for (int64_t j = begin; j < end; ++j) {
    const int32_t from = incoming_ptr[j], upto = incoming_ptr[j + 1];
    for (int32_t k = upto - 1; k >= from; --k) table[incoming[k].atom] = k;  // the first of each atom is written last
    const int32_t count = collect(*list, j, Kind::kBackward, edges);
    for (int32_t n = 0; n < count; ++n) {
      const int32_t e = edges[n], i = list->sender[e];
      int32_t k = table[i];
      if (k < from) {
        *complete = false;
        continue;
      }
      // Several images of one pair follow each other.
      if (list->shift && k + 1 < upto && incoming[k + 1].atom == i)
        while (k < upto && incoming[k].atom == i && !opposite(list->shift, e, first[incoming[k].pair])) ++k;
      if (k < upto && incoming[k].atom == i) pair[e] = incoming[k].pair;
      else *complete = false;
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

  std::vector<int32_t> base(num_atoms + 1), incoming_ptr(num_atoms + 1);
  std::atomic<uint64_t> shift_sum{0};
  parallel_for(num_atoms, kRowGrain, [&](int64_t begin, int64_t end) {
    run<count_rows>(&list, begin, end, base.data(), incoming_ptr.data() + 1);
    uint64_t sum = 0;
    if (list.shift) run<sum_shifts>(&list, begin, end, &sum);
    shift_sum += sum;
  });
  int32_t next = static_cast<int32_t>(self_rows);
  int32_t longest = 0;
  for (int64_t i = 0; i < num_atoms; ++i) {
    next += std::exchange(base[i], next);
    incoming_ptr[i + 1] += incoming_ptr[i];
    longest = std::max(longest, list.row_ptr[i + 1] - list.row_ptr[i]);
  }
  base[num_atoms] = next;
  require(2 * int64_t(next - self_rows) + loop * num_atoms == num_edges && incoming_ptr[num_atoms] == next - self_rows &&
              shift_sum == 0,
          kNotFull);
  Tensor first = sender.empty_like({num_pairs}), pair = sender.empty_like({list.num_rows});
  int32_t *firsts = first.mutable_data<int32_t>(), *pairs = pair.mutable_data<int32_t>();
  ask_huge_pages(firsts, num_pairs * sizeof(int32_t));
  ask_huge_pages(pairs, list.num_rows * sizeof(int32_t));
  if (self_rows) firsts[0] = 0;
  parallel_for(num_atoms, kRowGrain, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> edges(longest + 1);
    run<number_rows>(&list, begin, end, const_cast<const int32_t*>(base.data()), edges.data(), firsts, pairs);
  });
  const std::vector<Incoming> incoming = list_incoming(list, base, firsts, incoming_ptr);
  std::atomic<bool> complete{true};
  parallel_for(num_atoms, kRowGrain, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> table(num_atoms, -1), edges(longest + 1);
    bool ours = true;
    run<match_rows>(&list, begin, end, incoming.data(), const_cast<const int32_t*>(incoming_ptr.data()),
                    const_cast<const int32_t*>(firsts), table.data(), edges.data(), pairs, &ours);
    if (!ours) complete = false;
  });
  require(complete, kNotFull);
  // Rows without a pair, and edges that are padding, belong to the last row, whose edge is padding if any is.
  std::fill(firsts + next, firsts + num_pairs, static_cast<int32_t>(std::max<int64_t>(list.num_rows - 1, 0)));
  std::fill(pairs + num_edges, pairs + list.num_rows, static_cast<int32_t>(std::max<int64_t>(num_pairs - 1, 0)));
  stack[0] = first.release();
  stack[1] = pair.release();
}

}  // namespace torchmdnet
