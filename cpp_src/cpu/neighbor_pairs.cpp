// All pairs of atoms within a cutoff, in any cells, sorted by receiver.
//
// N atoms are sorted into bins (neighbor_grid.h) and looked through once: what each atom finds is kept as slots, four
// bytes a pair, until the number of pairs is known; then the rows are written where they belong, again in parallel.
// Memory: the result and those four bytes a pair; O(N) beside. Work: O(N + E). An atom's row depends on nothing but the
// atoms: the same bits for any number of threads.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "../lanes.h"
#include "../neighbor_grid.h"
#include "../neighbor_input.h"
#include "../torch_abi.h"
#include "huge_pages.h"
#include "neighbor_scan.h"
#include "parallel_chunks.h"

namespace torchmdnet {
namespace {

constexpr int32_t kChunk = 32;       // slots whose finds are kept together
constexpr int64_t kAtomGrain = 256;  // atoms worth a thread where little is done for each

// The input as the op takes it.
template <class T>
struct Atoms {
  const T* pos;
  const int64_t* batch;
  int64_t num;
  std::vector<Lattice> lattices;
  bool periodic;  // anything is
};

// Atoms in the order of their bins.
template <class T>
struct Slots {
  std::vector<T> x, y, z;         // after wrapping
  std::vector<int32_t> atom, bin;
  std::vector<int32_t> wrap;      // cells taken off, three an atom (not a slot); empty if nothing is periodic
  std::vector<int32_t> start;     // first slot of each bin
  std::vector<Grid> grids;
};

// Runs that lie in one image, and that image.
template <class T>
struct Group {
  int32_t image[3];
  T translation[3];
  int32_t first_run, last_run;
};

// Grows without giving its new memory a value.
class Buffer {
 public:
  void reserve(size_t size) {
    if (size <= capacity_) return;
    capacity_ = std::max(size, capacity_ + capacity_ / 2);
    int32_t* larger = static_cast<int32_t*>(std::realloc(data_.get(), capacity_ * sizeof(int32_t)));
    require(larger != nullptr, "out of memory in the neighbour search");
    data_.release();
    data_.reset(larger);
  }
  int32_t* end() { return data_.get() + size_; }
  const int32_t* begin() const { return data_.get(); }
  void grow(int32_t count) { size_ += count; }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(int32_t* pointer) const { std::free(pointer); }
  };
  std::unique_ptr<int32_t, Free> data_;
  size_t size_ = 0, capacity_ = 0;
};

// What the atoms in slots [begin, end) have found: slots, and how many of them belong to each group of each atom.
struct Found {
  Buffer slots;
  std::vector<int32_t> counts;
};

// Zero times a NaN or an infinity is NaN. Sums side by side, as many as a register holds.
template <class T>
bool all_finite(const T* numbers, int64_t count) {
  constexpr int kSums = 64 / sizeof(T);
  T sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums)
    for (int k = 0; k < kSums; ++k) sums[k] += numbers[i + k] * T(0);
  T sum = 0;
  for (; i < count; ++i) sum += numbers[i] * T(0);
  for (const T part : sums) sum += part;
  return sum == 0;
}

template <class T>
Atoms<T> read_atoms(const Tensor& pos, const Tensor& batch, const Tensor& box, const Tensor& periodic,
                    int64_t num_systems) {
  Atoms<T> atoms{pos.data<T>(), batch.data<int64_t>(), pos.size(0), std::vector<Lattice>(num_systems), false};
  const T* cells = box.size(0) ? box.data<T>() : nullptr;
  const bool* flags = periodic.size(0) ? periodic.data<bool>() : nullptr;
  int32_t faults = 0;
  for (int64_t b = 0; b < num_systems; ++b) {
    Lattice& lattice = atoms.lattices[b];
    faults |= make_lattice(cells ? cells + 9 * b : nullptr, flags ? flags + 3 * b : nullptr, lattice);
    atoms.periodic |= lattice.periodic[0] || lattice.periodic[1] || lattice.periodic[2];
  }
  bool known = true;
  for (int64_t i = 0; i < atoms.num; ++i)
    known &= static_cast<uint64_t>(atoms.batch[i]) < static_cast<uint64_t>(num_systems);
  if (!known) faults |= kBadBatch;
  if (!all_finite(atoms.pos, 3 * atoms.num)) faults |= kBadPosition;
  check_neighbor_faults(faults);
  return atoms;
}

// Range of the fractional coordinates of a system's atoms, wrapped around its first atom.
struct Extent {
  double origin[3], low[3], high[3];
  int64_t count;
};

// Looks at atoms [begin, end); for each the cells that wrapping takes off, if anything is periodic. False if an atom is
// too far away.
template <class T>
bool wrap_range(const Atoms<T>& atoms, int64_t begin, int64_t end, Extent* extents, int32_t* wraps) {
  for (int64_t i = begin; i < end; ++i) {
    const Lattice& lattice = atoms.lattices[atoms.batch[i]];
    Extent& extent = extents[atoms.batch[i]];
    double frac[3];
    fractional(lattice, atoms.pos[3 * i], atoms.pos[3 * i + 1], atoms.pos[3 * i + 2], frac);
    if (extent.count++ == 0) std::copy(frac, frac + 3, extent.origin);
    for (int k = 0; k < 3; ++k) {
      if (atoms.periodic) {
        const double wrap = wrap_count(lattice, k, frac[k], extent.origin[k]);
        if (!(std::fabs(wrap) < 1 << 30)) return false;
        wraps[3 * i + k] = static_cast<int32_t>(wrap);
        frac[k] -= wrap;
      }
      extent.low[k] = std::min(extent.low[k], frac[k]);
      extent.high[k] = std::max(extent.high[k], frac[k]);
    }
  }
  return true;
}

// Looks at systems side by side whose atoms follow each other.
template <class T>
bool wrap_systems(const Atoms<T>& atoms, std::vector<Extent>& extents, int32_t* wraps) {
  const int64_t num_systems = extents.size();
  const auto first_atom = [&](int64_t system) {
    return std::lower_bound(atoms.batch, atoms.batch + atoms.num, system) - atoms.batch;
  };
  std::atomic<bool> near{true};
  parallel_chunks(num_systems, kAtomGrain * num_systems / (atoms.num + 1) + 1, [&](int64_t begin, int64_t end) {
    if (!wrap_range(atoms, first_atom(begin), first_atom(end), extents.data(), wraps)) near = false;
  });
  return near;
}

// Extents of the systems; a single one is divided among the threads.
template <class T>
std::vector<Extent> wrap_atoms(const Atoms<T>& atoms, int32_t* wraps) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  const Extent empty{{}, {kNone, kNone, kNone}, {-kNone, -kNone, -kNone}, 0};
  std::vector<Extent> extents(atoms.lattices.size(), empty);
  if (extents.size() != 1 || atoms.num == 0) {
    const bool sorted = std::is_sorted(atoms.batch, atoms.batch + atoms.num);
    if (!(sorted ? wrap_systems(atoms, extents, wraps) : wrap_range(atoms, 0, atoms.num, extents.data(), wraps)))
      check_neighbor_faults(kFarAtom);
    return extents;
  }
  wrap_range(atoms, 0, 1, extents.data(), wraps);
  std::mutex merging;
  bool near = true;  // an exception would not get out of a thread
  parallel_chunks(atoms.num, kAtomGrain, [&](int64_t begin, int64_t end) {
    Extent own = empty;
    std::copy(extents[0].origin, extents[0].origin + 3, own.origin);
    own.count = 1;  // it has an origin
    const bool all_near = wrap_range(atoms, begin, end, &own, wraps);
    const std::lock_guard<std::mutex> lock(merging);
    near = near && all_near;
    for (int k = 0; k < 3; ++k) {
      extents[0].low[k] = std::min(extents[0].low[k], own.low[k]);
      extents[0].high[k] = std::max(extents[0].high[k], own.high[k]);
    }
  });
  if (!near) check_neighbor_faults(kFarAtom);
  extents[0].count = atoms.num;
  return extents;
}

// Divides the space of each system into bins.
template <class T>
void divide(const Atoms<T>& atoms, double cutoff, Slots<T>& slots) {
  const size_t num_systems = atoms.lattices.size();
  if (atoms.periodic) slots.wrap.resize(3 * atoms.num);
  const std::vector<Extent> extents = wrap_atoms(atoms, slots.wrap.data());
  slots.grids.resize(num_systems);
  int64_t first = 0;
  for (size_t b = 0; b < num_systems; ++b) {
    make_grid(atoms.lattices[b], extents[b].low, extents[b].high, extents[b].count, cutoff, slots.grids[b]);
    if (!(candidates(slots.grids[b], extents[b].count) <= std::numeric_limits<int32_t>::max()))
      check_neighbor_faults(kTooManyPairs);
    slots.grids[b].first_bin = static_cast<int32_t>(first);
    first += slots.grids[b].num_bins();
  }
  slots.start.assign(first + 1, 0);
}

// Position after wrapping.
template <class T>
TMD_INLINE void wrapped(const Atoms<T>& atoms, const Slots<T>& slots, int64_t i, double* out) {
  for (int x = 0; x < 3; ++x) out[x] = atoms.pos[3 * i + x];
  if (!atoms.periodic) return;
  const int32_t* wrap = slots.wrap.data() + 3 * i;
  if (!(wrap[0] | wrap[1] | wrap[2])) return;
  double shift[3];
  translation(atoms.lattices[atoms.batch[i]], wrap[0], wrap[1], wrap[2], shift);
  for (int x = 0; x < 3; ++x) out[x] -= shift[x];
}

// Sorts the atoms into their bins: a counting sort, which keeps the order of the atoms within a bin.
template <class T>
Slots<T> sort_atoms(const Atoms<T>& atoms, double cutoff) {
  Slots<T> slots;
  divide(atoms, cutoff, slots);
  std::vector<int32_t> bin_of_atom(atoms.num);
  const auto find_bins = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Grid& grid = slots.grids[atoms.batch[i]];
      double frac[3];
      fractional(atoms.lattices[atoms.batch[i]], atoms.pos[3 * i], atoms.pos[3 * i + 1], atoms.pos[3 * i + 2], frac);
      int32_t bin[3];
      for (int k = 0; k < 3; ++k)
        bin[k] = bin_along(grid, k, atoms.periodic ? frac[k] - slots.wrap[3 * i + k] : frac[k]);
      bin_of_atom[i] = bin_number(grid, bin[0], bin[1], bin[2]);
    }
  };
  parallel_chunks(atoms.num, kAtomGrain, find_bins);
  for (const int32_t bin : bin_of_atom) ++slots.start[bin + 1];
  for (size_t bin = 1; bin < slots.start.size(); ++bin) slots.start[bin] += slots.start[bin - 1];
  std::vector<int32_t> next(slots.start.begin(), slots.start.end() - 1);
  slots.atom.resize(atoms.num);
  slots.bin.resize(atoms.num);
  for (int64_t i = 0; i < atoms.num; ++i) {
    const int32_t slot = next[bin_of_atom[i]]++;
    slots.atom[slot] = static_cast<int32_t>(i);
    slots.bin[slot] = bin_of_atom[i];
  }
  for (std::vector<T>* axis : {&slots.x, &slots.y, &slots.z}) axis->resize(atoms.num + kScanWidth);
  parallel_chunks(atoms.num, kAtomGrain, [&](int64_t begin, int64_t end) {
    for (int64_t slot = begin; slot < end; ++slot) {
      double at[3];
      wrapped(atoms, slots, slots.atom[slot], at);
      slots.x[slot] = static_cast<T>(at[0]);
      slots.y[slot] = static_cast<T>(at[1]);
      slots.z[slot] = static_cast<T>(at[2]);
    }
  });
  return slots;
}

// Where the atoms of a bin find their neighbours, the runs of one image together.
template <class T>
class Surroundings {
 public:
  Surroundings(const Atoms<T>& atoms, const Slots<T>& slots, bool half) : atoms_(atoms), slots_(slots), half_(half) {}

  // Looks at the bin of a slot, unless it did so last.
  void move_to(int32_t slot) {
    if (slots_.bin[slot] == bin_) return;
    bin_ = slots_.bin[slot];
    const int64_t system = atoms_.batch[slots_.atom[slot]];
    const Grid& grid = slots_.grids[system];
    const int32_t place = bin_ - grid.first_bin, row = place / grid.num[2];
    found_.clear();
    for_runs(grid, row / grid.num[1], row % grid.num[1], place % grid.num[2], slots_.start.data(),
             [&](int32_t begin, int32_t end, int32_t a, int32_t b, int32_t c) {
               if (!half_ || is_forward(a, b, c) || !(a | b | c)) found_.push_back({{a, b, c}, {begin, end}});
             });
    // The atom's own image comes first, then the others in a fixed order.
    std::sort(found_.begin(), found_.end(),
              [](const Piece& one, const Piece& other) { return key(one) < key(other); });
    collect(atoms_.lattices[system]);
  }

  const std::vector<Group<T>>& groups() const { return groups_; }
  const SlotRun* runs() const { return runs_.data(); }
  int64_t num_candidates() const { return num_candidates_; }

 private:
  struct Piece {
    std::array<int32_t, 3> image;
    SlotRun run;
  };

  static std::array<int32_t, 5> key(const Piece& piece) {
    const auto& [a, b, c] = piece.image;
    return {a || b || c, a, b, c, piece.run.begin};
  }

  void collect(const Lattice& lattice) {
    groups_.clear();
    runs_.clear();
    num_candidates_ = 0;
    for (const Piece& piece : found_) {
      const auto& [a, b, c] = piece.image;
      if (groups_.empty() || !std::equal(piece.image.begin(), piece.image.end(), groups_.back().image)) {
        Group<T> group{{a, b, c}, {}, static_cast<int32_t>(runs_.size()), 0};
        translation(lattice, a, b, c, group.translation);
        groups_.push_back(group);
      }
      runs_.push_back(piece.run);
      groups_.back().last_run = static_cast<int32_t>(runs_.size());
      num_candidates_ += piece.run.end - piece.run.begin;
    }
  }

  const Atoms<T>& atoms_;
  const Slots<T>& slots_;
  const bool half_;
  int32_t bin_ = -1;
  std::vector<Piece> found_;
  std::vector<Group<T>> groups_;
  std::vector<SlotRun> runs_;
  int64_t num_candidates_ = 0;
};

inline bool is_home(const int32_t* image) { return !(image[0] | image[1] | image[2]); }

// Looks for the neighbours of the atoms in slots [begin, end); counts them in row_size, one a slot.
template <class T>
Found search(const Slots<T>& slots, const NeighborOptions& options, Surroundings<T>& around, int32_t begin,
             int32_t end, int32_t* row_size) {
  Found found;
  const ScanFunction<T> find = scan_function<T>();
  Scan<T> scan{slots.x.data(), slots.y.data(), slots.z.data(), nullptr, nullptr, {}, {}, 0, 0, -1, 0};
  scan.lower_squared = static_cast<T>(options.lower) * static_cast<T>(options.lower);
  scan.upper_squared = static_cast<T>(options.upper) * static_cast<T>(options.upper);
  for (int32_t slot = begin; slot < end; ++slot) {
    around.move_to(slot);
    scan.center[0] = slots.x[slot];
    scan.center[1] = slots.y[slot];
    scan.center[2] = slots.z[slot];
    const size_t before = found.slots.size();
    found.slots.reserve(before + around.num_candidates() + kScanWidth);
    for (const Group<T>& group : around.groups()) {
      scan.runs = around.runs() + group.first_run;
      scan.runs_end = around.runs() + group.last_run;
      std::copy(group.translation, group.translation + 3, scan.translation);
      const bool home = is_home(group.image);
      scan.self = home ? slot : -1;
      scan.first = home && options.half ? slot + 1 : 0;
      const int32_t count = find(scan, found.slots.end());
      found.slots.grow(count);
      found.counts.push_back(count);
    }
    row_size[slot] = static_cast<int32_t>(found.slots.size() - before) + options.loop;
  }
  return found;
}

// The arrays of the result.
template <class T>
struct Rows {
  T *vector, *distance;
  int32_t *receiver, *sender, *shift;  // shift is null where no box was given
  const int32_t* row_ptr;
};

// The pairs of one atom with the slots that it found in one image, from row `at` on.
template <class T>
TMD_INLINE void write_pairs(const Slots<T>* slots, const Rows<T>* rows, const Group<T>* group, const int32_t* found,
                            int32_t count, int32_t slot, int32_t at) {
  const T *x = slots->x.data(), *y = slots->y.data(), *z = slots->z.data();
  const int32_t* atom = slots->atom.data();
  const T cx = x[slot], cy = y[slot], cz = z[slot];
  const T tx = group->translation[0], ty = group->translation[1], tz = group->translation[2];
  const int32_t receiver = atom[slot];
  T *vector = rows->vector + 3 * int64_t(at), *distance = rows->distance + at;
  int32_t *from = rows->sender + at, *to = rows->receiver + at;
  TMD_INDEPENDENT
  for (int32_t k = 0; k < count; ++k) {
    const int32_t j = found[k];
    const T dx = difference(cx, x[j], tx), dy = difference(cy, y[j], ty), dz = difference(cz, z[j], tz);
    vector[3 * k] = dx;
    vector[3 * k + 1] = dy;
    vector[3 * k + 2] = dz;
    distance[k] = std::sqrt(dx * dx + dy * dy + dz * dz);
    from[k] = atom[j];
    to[k] = receiver;
  }
}

template <class T>
TMD_INLINE void write_shifts(const Slots<T>* slots, const Rows<T>* rows, const Group<T>* group, const int32_t* found,
                             int32_t count, int32_t slot, int32_t at) {
  const int32_t *atom = slots->atom.data(), *wrap = slots->wrap.data();
  int32_t* shift = rows->shift + 3 * int64_t(at);
  int32_t own[3];
  for (int a = 0; a < 3; ++a) own[a] = group->image[a] + (slots->wrap.empty() ? 0 : wrap[3 * int64_t(atom[slot]) + a]);
  if (slots->wrap.empty()) {
    std::fill(shift, shift + 3 * int64_t(count), 0);
    return;
  }
  TMD_INDEPENDENT
  for (int32_t k = 0; k < count; ++k) {
    const int32_t* other = wrap + 3 * int64_t(atom[found[k]]);
    for (int a = 0; a < 3; ++a) shift[3 * k + a] = own[a] - other[a];
  }
}

// Writes the rows of the atoms in slots [begin, end).
template <class T>
TMD_INLINE void write_rows(const Slots<T>* slots, const NeighborOptions* options, const Rows<T>* rows,
                           const Found* found, Surroundings<T>* around, int32_t begin, int32_t end) {
  const int32_t *next = found->slots.begin(), *count = found->counts.data();
  for (int32_t slot = begin; slot < end; ++slot) {
    around->move_to(slot);
    const int32_t atom = slots->atom[slot];
    int32_t at = rows->row_ptr[atom];
    if (options->loop) {
      for (int x = 0; x < 3; ++x) rows->vector[3 * int64_t(at) + x] = 0;
      for (int x = 0; rows->shift && x < 3; ++x) rows->shift[3 * int64_t(at) + x] = 0;
      rows->distance[at] = 0;
      rows->receiver[at] = rows->sender[at] = atom;
      ++at;
    }
    for (const Group<T>& group : around->groups()) {
      write_pairs(slots, rows, &group, next, *count, slot, at);
      if (rows->shift) write_shifts(slots, rows, &group, next, *count, slot, at);
      at += *count;
      next += *count++;
    }
  }
}

// Pairs that are none, from row `begin` on: at the cutoff, where all functions of the distance vanish.
template <class T>
void write_padding(const Rows<T>& rows, int64_t begin, int64_t end, int64_t num_atoms, double cutoff) {
  const int32_t last = static_cast<int32_t>(std::max<int64_t>(num_atoms - 1, 0));
  for (int64_t e = begin; e < end; ++e) {
    for (int x = 0; x < 3; ++x) rows.vector[3 * e + x] = x == 0 ? static_cast<T>(cutoff) : 0;
    for (int x = 0; rows.shift && x < 3; ++x) rows.shift[3 * e + x] = 0;
    rows.distance[e] = static_cast<T>(cutoff);
    rows.receiver[e] = rows.sender[e] = last;
  }
}

// From the sizes in the order of the slots to the first rows of the atoms, and how many rows there are.
int64_t sum_rows(const std::vector<int32_t>& row_size, const std::vector<int32_t>& atom, int32_t* row_ptr) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  row_ptr[0] = 0;
  for (size_t slot = 0; slot < atom.size(); ++slot) row_ptr[atom[slot] + 1] = row_size[slot];
  int64_t total = 0;
  for (size_t i = 1; i <= atom.size(); ++i) {
    total += row_ptr[i];
    if (total > kMost) check_neighbor_faults(kTooManyPairs);
    row_ptr[i] = static_cast<int32_t>(total);
  }
  return total;
}

template <class T>
void neighbor_pairs_of(const Tensor& pos, const Tensor& batch, const Tensor& box, const Tensor& periodic,
                       const NeighborOptions& options, StableIValue* stack) {
  const Atoms<T> atoms = read_atoms<T>(pos, batch, box, periodic, options.num_systems);
  const Slots<T> slots = sort_atoms(atoms, options.upper);
  const int64_t num_atoms = atoms.num, num_chunks = (num_atoms + kChunk - 1) / kChunk;
  const auto chunk_end = [&](int64_t chunk) {
    return static_cast<int32_t>(std::min<int64_t>((chunk + 1) * kChunk, num_atoms));
  };

  std::vector<Found> found(num_chunks);
  std::vector<int32_t> row_size(num_atoms);  // by slot: neighbouring entries belong to one thread
  std::atomic<size_t> num_found{0};  // to stop before memory runs out
  parallel_chunks(num_chunks, 1, [&](int64_t begin, int64_t end) {
    Surroundings<T> around(atoms, slots, options.half);
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      if (num_found > std::numeric_limits<int32_t>::max()) return;
      found[chunk] =
          search(slots, options, around, static_cast<int32_t>(chunk * kChunk), chunk_end(chunk), row_size.data());
      num_found += found[chunk].slots.size();
    }
  });
  if (num_found > std::numeric_limits<int32_t>::max()) check_neighbor_faults(kTooManyPairs);

  const int32_t index = aoti_torch_dtype_int32();
  Tensor row_ptr = pos.empty({num_atoms + 1}, index), status = pos.empty({2}, index);
  const int64_t total = sum_rows(row_size, slots.atom, row_ptr.mutable_data<int32_t>());
  if (options.capacity >= 0 && total > options.capacity)
    fail_overflow(total, options.capacity);
  const int64_t num_rows = options.capacity >= 0 ? options.capacity : total;
  Tensor vector = pos.empty_like({num_rows, 3}), distance = pos.empty_like({num_rows});
  Tensor receiver = pos.empty({num_rows}, index), sender = pos.empty({num_rows}, index);
  Tensor shift = pos.empty({box.size(0) ? num_rows : 0, 3}, index);
  const Rows<T> rows{vector.mutable_data<T>(),         distance.mutable_data<T>(),
                     receiver.mutable_data<int32_t>(), sender.mutable_data<int32_t>(),
                     box.size(0) ? shift.mutable_data<int32_t>() : nullptr, row_ptr.data<int32_t>()};
  ask_huge_pages(rows.vector, 3 * num_rows * sizeof(T));
  ask_huge_pages(rows.distance, num_rows * sizeof(T));
  ask_huge_pages(rows.receiver, num_rows * sizeof(int32_t));
  ask_huge_pages(rows.sender, num_rows * sizeof(int32_t));
  if (rows.shift) ask_huge_pages(rows.shift, 3 * num_rows * sizeof(int32_t));

  parallel_chunks(num_chunks, 1, [&](int64_t begin, int64_t end) {
    Surroundings<T> around(atoms, slots, options.half);
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      run<write_rows<T>>(&slots, &options, &rows, const_cast<const Found*>(&found[chunk]), &around,
                         static_cast<int32_t>(chunk * kChunk), chunk_end(chunk));
      found[chunk] = Found();
    }
  });
  write_padding(rows, total, num_rows, num_atoms, options.upper);
  status.mutable_data<int32_t>()[0] = static_cast<int32_t>(total);
  status.mutable_data<int32_t>()[1] = 0;

  Tensor* results[] = {&vector, &distance, &receiver, &sender, &shift, &row_ptr, &status};
  for (int k = 0; k < 7; ++k) stack[k] = results[k]->release();
}

}  // namespace

void neighbor_pairs(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor pos(stack[0]), batch(stack[1]), box(stack[2]), periodic(stack[3]);
  const NeighborOptions options(stack + 4);
  check_neighbor_input(pos, batch, box, periodic, options);
  for_type(pos, [&](auto zero) {
    neighbor_pairs_of<decltype(zero)>(pos, batch, box, periodic, options, stack);
  });
}

}  // namespace torchmdnet
