// The geometry of the neighbour search, shared by the CPU and the CUDA code: cells, bins, images and the pair test.
//
// The atoms of each system are wrapped around its first atom and sorted into bins. Along a repeating axis, bin n is
// bin 0 of the next cell. Bins along the last axis are neighbours in memory: the bins within reach of one are a few
// runs of slots, each in one image. A molecule is one bin, and a cell thinner than the cutoff is one bin with several
// images: brute force and cell list are the same algorithm.
#pragma once
#include <cmath>
#include <cstdint>

#include "shared.h"

namespace torchmdnet {

// What can be wrong with the input, or'ed together in the status of a search, or of a longer list that is cut.
enum Fault : int32_t {
  kBadPosition = 1,     // NaN or infinite
  kBadBatch = 2,        // a system number below zero or too large
  kBadBox = 4,          // NaN, infinite, or singular on the periodic axes
  kNoBox = 8,           // an axis said to be periodic of a box that is all zeros
  kFarAtom = 16,        // more cells away from its system than an int32 counts
  kTooManyPairs = 32,   // more than an int32 counts
  kOverflow = 64,       // more pairs than the given capacity
  kStaleList = 128,     // an atom or a cell has changed too much since the longer list was made (refresh_pairs)
  kRowsMisfit = 256,    // what is wrong with the longer list itself
  kRowsDescend = 512,
  kUnknownAtom = 1024,
};

constexpr double kFlat = 1e-6;      // volume over the product of the edges below which a cell is singular
constexpr double kSlack = 1.0 + 1e-4;  // search radius in cutoffs: rounding must not hide a pair from its bin
constexpr double kMostBins = 1 << 28;  // more than can be gone through, but an int32
constexpr int kAtomsPerBin = 8;     // a system has at most one bin for so many atoms
constexpr int kDenseBin = 32;       // bins of the size of the cutoff with more atoms are cut in two along each axis

// The cell of a system. Vectors of open axes are unit vectors orthogonal to all others.
struct Lattice {
  double cell[3][3];     // rows a, b, c
  double inverse[3][3];  // fractional coordinate k of r is sum over x of r[x] * inverse[x][k]
  double height[3];      // distance between the two faces that an axis crosses
  bool periodic[3];
};

TMD_SHARED void cross(const double* a, const double* b, double* out) {
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}

TMD_SHARED double norm(const double* a) { return sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]); }

TMD_SHARED void normalize(double* a) {
  const double length = norm(a);
  for (int x = 0; x < 3; ++x) a[x] = length > 0 ? a[x] / length : 0;
}

// Gives the open axes unit vectors orthogonal to the periodic ones and to each other.
TMD_SHARED void complete_cell(Lattice& lattice) {
  int open[3], kept[3], num_open = 0, num_kept = 0;
  for (int k = 0; k < 3; ++k) {
    if (lattice.periodic[k]) kept[num_kept++] = k;
    else open[num_open++] = k;
  }
  if (num_open == 3) {
    for (int k = 0; k < 3; ++k)
      for (int x = 0; x < 3; ++x) lattice.cell[k][x] = k == x;
  } else if (num_open == 2) {
    const double* axis = lattice.cell[kept[0]];
    int least = 0;
    for (int x = 1; x < 3; ++x)
      if (fabs(axis[x]) < fabs(axis[least])) least = x;
    const double unit[3] = {least == 0 ? 1.0 : 0.0, least == 1 ? 1.0 : 0.0, least == 2 ? 1.0 : 0.0};
    cross(axis, unit, lattice.cell[open[0]]);
    normalize(lattice.cell[open[0]]);
    cross(axis, lattice.cell[open[0]], lattice.cell[open[1]]);
    normalize(lattice.cell[open[1]]);
  } else if (num_open == 1) {
    cross(lattice.cell[kept[0]], lattice.cell[kept[1]], lattice.cell[open[0]]);
    normalize(lattice.cell[open[0]]);
  }
}

// box: nine numbers, rows a, b, c, all zeros for none, or null; pbc: three flags, or null for "where there is a box".
// Returns faults; the lattice is usable (open on all axes) even then.
template <class T>
TMD_SHARED int32_t make_lattice(const T* box, const bool* pbc, Lattice& lattice) {
  int32_t faults = 0;
  bool has_box = false;
  for (int k = 0; k < 9; ++k) {
    const double value = box ? static_cast<double>(box[k]) : 0.0;
    lattice.cell[k / 3][k % 3] = value;
    has_box = has_box || value != 0.0;
    if (!(fabs(value) <= 1e300)) faults |= kBadBox;
  }
  for (int k = 0; k < 3; ++k) {
    lattice.periodic[k] = has_box && !faults && (pbc ? pbc[k] : true);
    if (pbc && pbc[k] && !has_box) faults |= kNoBox;
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    complete_cell(lattice);
    double normal[3][3], edges = 1.0;
    for (int k = 0; k < 3; ++k) {
      cross(lattice.cell[(k + 1) % 3], lattice.cell[(k + 2) % 3], normal[k]);
      edges *= norm(lattice.cell[k]);
    }
    double volume = 0.0;
    for (int x = 0; x < 3; ++x) volume += lattice.cell[0][x] * normal[0][x];
    if (!(fabs(volume) > kFlat * edges)) {
      faults |= kBadBox;
      for (int k = 0; k < 3; ++k) lattice.periodic[k] = false;
      continue;
    }
    for (int k = 0; k < 3; ++k) {
      for (int x = 0; x < 3; ++x) lattice.inverse[x][k] = normal[k][x] / volume;
      lattice.height[k] = fabs(volume) / norm(normal[k]);
    }
    break;
  }
  return faults;
}

TMD_SHARED void fractional(const Lattice& lattice, double x, double y, double z, double* out) {
  for (int k = 0; k < 3; ++k)
    out[k] = x * lattice.inverse[0][k] + y * lattice.inverse[1][k] + z * lattice.inverse[2][k];
}

// Cells to take off an atom so that it is near the first one of its system.
TMD_SHARED double wrap_count(const Lattice& lattice, int axis, double frac, double first) {
  return lattice.periodic[axis] ? floor(frac - first + 0.5) : 0.0;
}

// How the space of a system is divided.
struct Grid {
  double low[3];      // smallest fractional coordinate after wrapping
  double scale[3];    // bins in a unit of the fractional coordinate
  int32_t num[3];     // bins along each axis
  int32_t reach[3];   // how many bins away a neighbour can be
  bool repeats[3];    // whether the bins of an axis go on in the next cell
  int32_t first_bin;  // number of this system's first bin among those of all

  TMD_SHARED int32_t num_bins() const { return num[0] * num[1] * num[2]; }
};

// No system has more bins than this.
TMD_SHARED int64_t max_bins(int64_t num_atoms) { return num_atoms / kAtomsPerBin + 1; }

// low, high: range of the wrapped fractional coordinates of the system's atoms (any, if it has none).
TMD_SHARED void make_grid(const Lattice& lattice, const double* low, const double* high, int64_t num_atoms,
                          double cutoff, Grid& grid) {
  const double radius = cutoff * kSlack;
  double span[3], length[3], whole = 1.0;
  for (int k = 0; k < 3; ++k) {
    grid.low[k] = num_atoms ? low[k] : 0.0;
    span[k] = num_atoms ? high[k] - low[k] : 0.0;
    grid.repeats[k] = lattice.periodic[k] && (1.0 - span[k]) * lattice.height[k] <= radius;
    length[k] = (grid.repeats[k] ? 1.0 : span[k]) * lattice.height[k];
    whole *= fmax(1.0, floor(length[k] / radius));
  }
  const int cuts = static_cast<double>(num_atoms) > kDenseBin * whole ? 2 : 1;
  double wanted[3];
  for (int k = 0; k < 3; ++k) wanted[k] = fmax(1.0, floor(length[k] * cuts / radius));
  // The finest axes give way first where there would be more bins than kAtomsPerBin allows.
  int order[3] = {0, 1, 2};
  for (int a = 0; a < 2; ++a)
    for (int b = 0; b < 2 - a; ++b)
      if (wanted[order[b]] > wanted[order[b + 1]]) {
        const int other = order[b];
        order[b] = order[b + 1];
        order[b + 1] = other;
      }
  double left = fmax(1.0, static_cast<double>(num_atoms) / kAtomsPerBin);
  for (int a = 0; a < 3; ++a) {
    const double share = a == 0 ? cbrt(left) : a == 1 ? sqrt(left) : left;
    const double num = fmin(wanted[order[a]], fmax(1.0, floor(share)));
    grid.num[order[a]] = static_cast<int32_t>(num);
    left /= num;
  }
  for (int k = 0; k < 3; ++k) {
    const double num = grid.num[k], cell = grid.repeats[k] ? 1.0 : span[k];
    grid.scale[k] = num > 1.0 ? num / cell : 0.0;
    double reach = 0.0;
    if (num > 1.0) reach = fmax(1.0, ceil(radius * num / length[k]));
    else if (grid.repeats[k]) reach = floor((radius / lattice.height[k] + span[k]) * kSlack);
    grid.reach[k] = static_cast<int32_t>(fmin(reach, kMostBins));
  }
}

// Slots that an atom is compared with: bins that are visited, times the atoms in one.
TMD_SHARED double candidates(const Grid& grid, int64_t num_atoms) {
  double visited = static_cast<double>(num_atoms) / grid.num_bins();
  for (int k = 0; k < 3; ++k) visited *= 2.0 * grid.reach[k] + 1.0;
  return visited;
}

TMD_SHARED int32_t bin_along(const Grid& grid, int axis, double wrapped_frac) {
  const int32_t bin = static_cast<int32_t>((wrapped_frac - grid.low[axis]) * grid.scale[axis]);
  return bin < 0 ? 0 : bin < grid.num[axis] ? bin : grid.num[axis] - 1;
}

TMD_SHARED int32_t bin_number(const Grid& grid, int32_t a, int32_t b, int32_t c) {
  return grid.first_bin + (a * grid.num[1] + b) * grid.num[2] + c;
}

TMD_SHARED int32_t floor_divide(int32_t a, int32_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

// Where bin `target` along an axis is: its image and its number there; false if there is none.
TMD_SHARED bool locate_bin(const Grid& grid, int axis, int32_t target, int32_t& image, int32_t& bin) {
  image = grid.repeats[axis] ? floor_divide(target, grid.num[axis]) : 0;
  bin = target - image * grid.num[axis];
  return bin >= 0 && bin < grid.num[axis];
}

// Calls visit(begin, end, image a, image b, image c) for each run of slots within reach of bin (a, b, c).
// start: first slot of each bin of all systems, and the end of the last.
template <class Visit>
TMD_SHARED void for_runs(const Grid& grid, int32_t a, int32_t b, int32_t c, const int32_t* start, Visit visit) {
  for (int32_t da = -grid.reach[0]; da <= grid.reach[0]; ++da) {
    int32_t image_a, bin_a;
    if (!locate_bin(grid, 0, a + da, image_a, bin_a)) continue;
    for (int32_t db = -grid.reach[1]; db <= grid.reach[1]; ++db) {
      int32_t image_b, bin_b;
      if (!locate_bin(grid, 1, b + db, image_b, bin_b)) continue;
      const int32_t row = bin_number(grid, bin_a, bin_b, 0), num = grid.num[2];
      const int32_t low = c - grid.reach[2], high = c + grid.reach[2];
      const int32_t first = grid.repeats[2] ? floor_divide(low, num) : 0;
      const int32_t last = grid.repeats[2] ? floor_divide(high, num) : 0;
      for (int32_t image_c = first; image_c <= last; ++image_c) {
        const int32_t from = low - image_c * num, upto = high - image_c * num;
        const int32_t begin = start[row + (from > 0 ? from : 0)], end = start[row + (upto < num ? upto + 1 : num)];
        if (begin < end) visit(begin, end, image_a, image_b, image_c);
      }
    }
  }
}

// Whether an image is the one of its opposite pair that a half list visits: the last non-zero number is positive, or,
// in the atom's own image, the neighbour's slot is the higher one.
TMD_SHARED bool is_forward(int32_t a, int32_t b, int32_t c) { return c != 0 ? c > 0 : b != 0 ? b > 0 : a > 0; }

// In a kernel, rounded once whatever the code around it: kernels that count and kernels that write must agree.
TMD_SHARED double multiply_add(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
  return fma(a, b, c);
#else
  return a * b + c;
#endif
}

// Length of a translation by whole cells. Odd in (a, b, c) to the last bit.
template <class T>
TMD_SHARED void translation(const Lattice& lattice, int32_t a, int32_t b, int32_t c, T* out) {
  for (int x = 0; x < 3; ++x) {
    const double last = c * lattice.cell[2][x];
    out[x] = static_cast<T>(multiply_add(a, lattice.cell[0][x], multiply_add(b, lattice.cell[1][x], last)));
  }
}

// One component of the vector from image `shift` of j to i. Odd under exchange of the atoms to the last bit, so that a
// pair is within the cutoff from both ends or from none.
template <class T>
TMD_SHARED T difference(T i, T j, T shift) {
  return (i - j) - shift;
}

}  // namespace torchmdnet
