// The launches of a neighbour search: few for a small input, where launches take most of the time.
//
//   up to                    launches before the rows are known                                    and to write them
//   Schedule::one_block      1: sort, count and sum in one block                                   1
//   Schedule::sort_in_block  2: sort in one block; count, summed by the block that is done last    1
//   any                      12: a phase each                                                      1
#pragma once
#include "neighbor_rows.cuh"

namespace torchmdnet {

struct Schedule {
  int64_t one_block = kFewAtoms;  // atoms (and systems) whose pairs one block counts
  int64_t sort_in_block = 2048;   // atoms (and systems) that one block sorts
  int block = kBlock;             // threads
  int large_block = kLargeBlock;  // threads of a block that works alone
};

template <class T>
void sort_atoms_at_large(const Search<T>& s, const Schedule& schedule, Stream stream) {
  const int threads = schedule.block;
  const int64_t atoms = blocks_for(s.num_atoms, threads), tiles = divide_up(s.num_bins, kTile);
  const int64_t most = s.num_bins > s.num_systems ? s.num_bins : s.num_systems;
  TMD_LAUNCH(start_search_kernel<T>, blocks_for(most, threads), threads, stream, s);
  TMD_LAUNCH(find_first_atoms_kernel<T>, atoms, threads, stream, s);
  TMD_LAUNCH(wrap_atoms_kernel<T>, atoms, threads, stream, s);
  TMD_LAUNCH(divide_systems_kernel<T>, 1, schedule.large_block, stream, s);
  TMD_LAUNCH(find_bins_kernel<T>, atoms, threads, stream, s);
  TMD_LAUNCH(sum_tiles<int32_t>, tiles, threads, stream, s.bin_size, s.num_bins, s.bin_tiles);
  TMD_LAUNCH(find_starts_kernel<T>, tiles, threads, stream, s);
  TMD_LAUNCH(place_atoms_kernel<T>, atoms, threads, stream, s);
  TMD_LAUNCH(order_atoms_kernel<T>, atoms, threads, stream, s);
}

// Sorts the atoms and fills rows.row_ptr and rows.status.
template <class T>
void find_rows(const Search<T>& s, const Rows<T>& rows, const Schedule& schedule, Stream stream) {
  const int64_t size = s.num_atoms > s.num_systems ? s.num_atoms : s.num_systems;
  const int64_t warps = blocks_for(s.num_atoms * kWarp, schedule.block);
  if (size <= schedule.one_block) {
    TMD_LAUNCH(sort_and_count_kernel<T>, 1, schedule.large_block, stream, s, rows);
  } else if (size <= schedule.sort_in_block) {
    TMD_LAUNCH(sort_atoms_kernel<T>, 1, schedule.large_block, stream, s);
    TMD_LAUNCH(count_and_sum_rows_kernel<T>, warps, schedule.block, stream, s, rows);
  } else {
    const int64_t tiles = s.num_atoms ? divide_up(s.num_atoms, kTile) : 1;
    sort_atoms_at_large(s, schedule, stream);
    TMD_LAUNCH(count_rows_kernel<T>, warps, schedule.block, stream, s);
    TMD_LAUNCH(sum_tiles<int32_t>, tiles, schedule.block, stream, s.row_size, s.num_atoms, s.row_tiles);
    TMD_LAUNCH(sum_rows_kernel<T>, tiles, schedule.block, stream, s, rows);
  }
}

// Fills all arrays of the rows, rows.capacity long, after find_rows.
template <class T>
void write_rows(const Search<T>& s, const Rows<T>& rows, const Schedule& schedule, Stream stream) {
  const int64_t work = s.num_atoms * kWarp > rows.capacity ? s.num_atoms * kWarp : rows.capacity;
  TMD_LAUNCH(write_rows_kernel<T>, blocks_for(work, schedule.block), schedule.block, stream, s, rows);
}

}  // namespace torchmdnet
