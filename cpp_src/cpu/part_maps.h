// Linear maps of channels, one for each of the three parts of a tensor, applied to blocks of atoms.
//
// A map is a matrix W (C, C), rows for what comes out; the rows x (n, C) of a component become x W^T, or for gradients
// x W. Its columns are first laid out in panels as wide as a few registers, once for all atoms. Every number that comes
// out is one chain of multiply-adds in the order of the channels: the same bits for any number of threads and any
// division into blocks.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "../edges.h"
#include "../lanes.h"
#include "../torch_abi.h"
#include "parallel_chunks.h"

namespace torchmdnet {

// Rows of a tile; with the two widest panels the sums of a tile take 24 of 32, or 12 of 16 registers.
constexpr int kTileRows = 6;
constexpr int64_t kBlockBytes = 1 << 17;  // of a block's tensor: some of them fit the second cache

// Numbers in a register, and in a row of a panel.
template <class T>
struct Widths {
#if defined(__x86_64__)
  static constexpr int kWide = 64 / sizeof(T), kMiddle = 32 / sizeof(T);
#endif
  static constexpr int kLeast = 16 / sizeof(T);
};

template <class T>
int panel_width() {
#if defined(__x86_64__)
  if (instructions() == Instructions::kAvx512) return 4 * Widths<T>::kWide;
  if (instructions() == Instructions::kAvx2) return 2 * Widths<T>::kMiddle;
#endif
  return 2 * Widths<T>::kLeast;
}

// Three maps in panels: panel p holds columns [p width, (p + 1) width) of all C rows, with zeros beyond the last column.
template <class T>
struct PartMaps {
  const T* panels;
  int64_t channels, num_panels;
  int width;

  const T* of_part(int part) const { return panels + part * num_panels * channels * width; }
};

enum class Map { kForward, kTranspose };  // x W^T and x W

// One panel of a matrix.
template <class T>
void pack_panel(const T* w, int64_t C, int64_t first, int width, Map map, T* out) {
  constexpr int64_t kRows = 16;  // read along a row, write along a column: few cache lines at a time
  const int64_t count = std::min<int64_t>(width, C - first);
  for (int64_t k0 = 0; k0 < C; k0 += kRows) {
    const int64_t k1 = std::min(k0 + kRows, C);
    if (map == Map::kForward) {
      for (int64_t n = 0; n < count; ++n)
        for (int64_t k = k0; k < k1; ++k) out[k * width + n] = w[(first + n) * C + k];
    } else {
      for (int64_t k = k0; k < k1; ++k) std::copy_n(w + k * C + first, count, out + k * width);
    }
    for (int64_t k = k0; k < k1; ++k) std::fill(out + k * width + count, out + (k + 1) * width, T(0));
  }
}

// Lays out three maps; `room` keeps them.
template <class T>
PartMaps<T> pack_maps(const T* const (&maps)[kParts], int64_t channels, Map map, std::vector<T>& room) {
  const int width = panel_width<T>();
  const int64_t num_panels = (channels + width - 1) / width, size = channels * width;
  room.resize(kParts * num_panels * size);
  T* panels = room.data();
  parallel_for(kParts * num_panels, std::max<int64_t>(1, kGrainValues / (size + 1)), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k)
      pack_panel(maps[k / num_panels], channels, k % num_panels * width, width, map, panels + k * size);
  });
  return {panels, channels, num_panels, width};
}

// R rows times V registers of a panel: out = x b, or with `count` only the first columns of it.
template <class T, int W, int V, int R>
TMD_INLINE void tile(const T* x, const T* panel, int64_t C, int64_t count, T* out) {
  Lanes<T, W> sum[R][V] = {}, b[V];
  for (int64_t k = 0; k < C; ++k) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) b[v].load(panel + k * (V * W) + v * W);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const T a = x[r * C + k];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[r][v].v += a * b[v].v;
    }
  }
  if (count >= V * W) {
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < V; ++v) sum[r][v].store(out + r * C + v * W);
  } else {
    T row[V * W];
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < V; ++v) sum[r][v].store(row + v * W);
      for (int64_t n = 0; n < count; ++n) out[r * C + n] = row[n];
    }
  }
}

template <class T, int W, int V>
TMD_INLINE void map_rows(const PartMaps<T>* maps, int part, const T* x, int64_t num_rows, T* out) {
  const int64_t C = maps->channels;
  for (int64_t p = 0; p < maps->num_panels; ++p) {
    const T* panel = maps->of_part(part) + p * C * (V * W);
    const int64_t first = p * (V * W), count = C - first;
    int64_t row = 0;
    for (; row + kTileRows <= num_rows; row += kTileRows)
      tile<T, W, V, kTileRows>(x + row * C, panel, C, count, out + row * C + first);
    for (; row + 2 <= num_rows; row += 2) tile<T, W, V, 2>(x + row * C, panel, C, count, out + row * C + first);
    for (; row < num_rows; ++row) tile<T, W, V, 1>(x + row * C, panel, C, count, out + row * C + first);
  }
}

// Rows [0, num_rows) of all components: component c of x is at x + c x_plane, of out at out + c out_plane.
template <class T>
void apply_maps(const PartMaps<T>& maps, const T* x, int64_t x_plane, int64_t num_rows, T* out, int64_t out_plane) {
  for (int c = 0; c < kComponents; ++c) {
    const T* from = x + c * x_plane;
    T* to = out + c * out_plane;
#if defined(__x86_64__)
    if (instructions() == Instructions::kAvx512)
      run_avx512<map_rows<T, Widths<T>::kWide, 4>>(&maps, kPart[c], from, num_rows, to);
    else if (instructions() == Instructions::kAvx2)
      run_avx2<map_rows<T, Widths<T>::kMiddle, 2>>(&maps, kPart[c], from, num_rows, to);
    else
#endif
      map_rows<T, Widths<T>::kLeast, 2>(&maps, kPart[c], from, num_rows, to);
  }
}

// Atoms of a block: as many tiles as fit.
template <class T>
int64_t block_atoms(int64_t channels) {
  const int64_t row = kComponents * std::max<int64_t>(channels, 1) * sizeof(T);
  return std::max<int64_t>(kBlockBytes / row / kTileRows, 1) * kTileRows;
}

// Calls body(first atom, number of atoms) for blocks of atoms, with PyTorch's threads.
template <class T, class Body>
void for_blocks(int64_t num_atoms, int64_t channels, const Body& body) {
  const int64_t block = block_atoms<T>(channels);
  const int64_t grain = kGrainValues / (kTileRows * kComponents * channels * channels + 1) + 1;
  parallel_chunks((num_atoms + kTileRows - 1) / kTileRows, grain, [&](int64_t begin, int64_t end) {
    const int64_t stop = std::min(end * kTileRows, num_atoms);
    for (int64_t i = begin * kTileRows; i < stop; i += block) body(i, std::min(block, stop - i));
  });
}

// Room for `count` blocks' tensors, kept by each thread: fresh memory at every call would cost more than the arithmetic.
template <class T>
T* block_room(int count, int64_t channels) {
  thread_local std::vector<T> room;
  const size_t size = count * kComponents * block_atoms<T>(channels) * channels;
  if (room.size() < size) room.resize(size);
  return room.data();
}

// Nine numbers of one tensor.
template <class T>
TMD_INLINE void take(const T* x, int64_t plane, int64_t m, T* out) {
  for (int c = 0; c < kComponents; ++c) out[c] = x[c * plane + m];
}
template <class T>
TMD_INLINE void put(const T* x, int64_t plane, int64_t m, T* out) {
  for (int c = 0; c < kComponents; ++c) out[c * plane + m] = x[c];
}

}  // namespace torchmdnet
