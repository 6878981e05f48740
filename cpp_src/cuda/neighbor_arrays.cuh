// What the kernels of the neighbour search read and write between the input and the list.
#pragma once
#include "../neighbor_grid.h"
#include "scan.cuh"
#include "workspace.cuh"

namespace torchmdnet {

// The stages in which faults are found: those of a stage are read by later ones only.
enum Stage { kInputStage, kGeometryStage, kNumStages };

template <class T>
struct Search {
  // As given. box and periodic are null where there are none.
  const T* pos;
  const int64_t* batch;
  const T* box;
  const bool* periodic;
  int64_t num_atoms, num_systems;
  double cutoff;
  T lower_squared, upper_squared;
  bool loop, half;

  // Of each system
  Lattice* lattices;
  Grid* grids;
  int32_t* box_faults;
  int32_t* first_atom;
  int32_t* num_own;                // its atoms
  unsigned long long *low, *high;  // extents along each axis, as ordered() numbers

  // Of each atom
  int32_t* wrap;  // cells taken off, three numbers; null without boxes
  int32_t *bin, *rank;
  int32_t* row_size;

  // Of each bin
  int64_t num_bins;  // no fewer than there are
  int32_t *bin_size, *start;
  int64_t* bin_tiles;

  // Of each slot
  int32_t *unordered, *atom, *slot_bin;
  T *x, *y, *z;

  int64_t* row_tiles;
  int32_t* faults;         // of each stage
  unsigned* blocks_done;
};

// Points the arrays behind `base`, or at nothing if it is null; returns the bytes needed: some 50 an atom in float32
// and 62 in float64, 12 fewer without cells, and some 330 a system.
template <class T>
int64_t lay_out(Search<T>& s, char* base) {
  Workspace space(base);
  s.num_bins = s.num_atoms / kAtomsPerBin + s.num_systems;  // the sum of max_bins, or more
  space.take(s.lattices, s.num_systems);
  space.take(s.grids, s.num_systems);
  space.take(s.box_faults, s.num_systems);
  space.take(s.first_atom, s.num_systems);
  space.take(s.num_own, s.num_systems);
  space.take(s.low, 3 * s.num_systems);
  space.take(s.high, 3 * s.num_systems);
  space.take(s.wrap, s.box ? 3 * s.num_atoms : 0);
  if (!s.box) s.wrap = nullptr;
  space.take(s.bin, s.num_atoms);
  space.take(s.rank, s.num_atoms);
  space.take(s.row_size, s.num_atoms);
  space.take(s.bin_size, s.num_bins);
  space.take(s.start, s.num_bins + 1);
  space.take(s.bin_tiles, divide_up(s.num_bins, kTile) + 1);
  space.take(s.unordered, s.num_atoms);
  space.take(s.atom, s.num_atoms);
  space.take(s.slot_bin, s.num_atoms);
  space.take(s.x, s.num_atoms);
  space.take(s.y, s.num_atoms);
  space.take(s.z, s.num_atoms);
  space.take(s.row_tiles, divide_up(s.num_atoms, kTile) + 1);
  space.take(s.faults, kNumStages);
  space.take(s.blocks_done, 1);
  return space.size();
}

}  // namespace torchmdnet
