// The inner loop of the neighbour search: which of the atoms in some runs of slots are within the cutoff of one atom.
//
// Their slots are written next to each other. PyTorch has no such compaction and compilers do not make one of a plain
// loop, hence one version for each instruction set; all give the same answer.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

#include "../lanes.h"
#include "../neighbor_grid.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace torchmdnet {

constexpr int kScanWidth = 16;  // slots that are read, and places that are written, beyond the end

// Slots [begin, end) side by side in one image.
struct SlotRun {
  int32_t begin, end;
};

// One atom and where its neighbours are looked for.
template <class T>
struct Scan {
  const T *x, *y, *z;  // positions in the order of the slots, readable kScanWidth beyond the last
  const SlotRun *runs, *runs_end;
  T center[3], translation[3];
  T lower_squared, upper_squared;
  int32_t self;   // slot that is left out, or -1
  int32_t first;  // slots before this one are left out
};

// Number of slots found; `out` has room for all slots of the runs and kScanWidth more.
template <class T>
int32_t scan_baseline(const Scan<T>& scan, int32_t* out) {
  int32_t found = 0;
  for (const SlotRun* run = scan.runs; run != scan.runs_end; ++run) {
    for (int32_t k = std::max(run->begin, scan.first); k < run->end; ++k) {
      const T dx = difference(scan.center[0], scan.x[k], scan.translation[0]);
      const T dy = difference(scan.center[1], scan.y[k], scan.translation[1]);
      const T dz = difference(scan.center[2], scan.z[k], scan.translation[2]);
      const T squared = dx * dx + dy * dy + dz * dz;
      out[found] = k;
      found += (squared < scan.upper_squared) & (squared >= scan.lower_squared) & (k != scan.self);
    }
  }
  return found;
}

#if defined(__x86_64__)
#define TMD_AVX2 __attribute__((target("avx2,fma,popcnt")))
#define TMD_AVX512 __attribute__((target("avx2,fma,popcnt,avx512f,avx512dq,avx512bw,avx512vl")))

// For each mask of 8 lanes, the numbers of its set lanes, one a byte.
inline const std::array<uint64_t, 256> kSetLanes = [] {
  std::array<uint64_t, 256> table{};
  for (int mask = 0; mask < 256; ++mask)
    for (uint64_t lane = 0, place = 0; lane < 8; ++lane)
      if (mask >> lane & 1) table[mask] |= lane << (8 * place++);
  return table;
}();

// Lanes of a block of `width` slots from k that count: inside the run, and not the atom itself.
inline uint32_t lanes_that_count(int32_t k, int32_t end, int32_t self, int width) {
  const int32_t left = end - k;
  uint32_t mask = left >= width ? (1u << width) - 1 : (1u << left) - 1;
  const uint32_t place = static_cast<uint32_t>(self - k);
  if (place < static_cast<uint32_t>(width)) mask &= ~(1u << place);
  return mask;
}

TMD_AVX2 inline __m256i set_lanes(uint32_t mask, int32_t k) {
  const __m256i lanes = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(kSetLanes[mask])));
  return _mm256_add_epi32(lanes, _mm256_set1_epi32(k));
}

TMD_AVX2 inline int32_t scan_avx2(const Scan<float>& scan, int32_t* out) {
  const __m256 cx = _mm256_set1_ps(scan.center[0]), tx = _mm256_set1_ps(scan.translation[0]);
  const __m256 cy = _mm256_set1_ps(scan.center[1]), ty = _mm256_set1_ps(scan.translation[1]);
  const __m256 cz = _mm256_set1_ps(scan.center[2]), tz = _mm256_set1_ps(scan.translation[2]);
  const __m256 upper = _mm256_set1_ps(scan.upper_squared), lower = _mm256_set1_ps(scan.lower_squared);
  int32_t found = 0;
  for (const SlotRun* run = scan.runs; run != scan.runs_end; ++run) {
    for (int32_t k = std::max(run->begin, scan.first); k < run->end; k += 8) {
      const __m256 dx = _mm256_sub_ps(_mm256_sub_ps(cx, _mm256_loadu_ps(scan.x + k)), tx);
      const __m256 dy = _mm256_sub_ps(_mm256_sub_ps(cy, _mm256_loadu_ps(scan.y + k)), ty);
      const __m256 dz = _mm256_sub_ps(_mm256_sub_ps(cz, _mm256_loadu_ps(scan.z + k)), tz);
      const __m256 squared = _mm256_fmadd_ps(dz, dz, _mm256_fmadd_ps(dy, dy, _mm256_mul_ps(dx, dx)));
      const __m256 near = _mm256_and_ps(_mm256_cmp_ps(squared, upper, _CMP_LT_OQ), _mm256_cmp_ps(squared, lower, _CMP_GE_OQ));
      const uint32_t mask = _mm256_movemask_ps(near) & lanes_that_count(k, run->end, scan.self, 8);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + found), set_lanes(mask, k));
      found += _mm_popcnt_u32(mask);
    }
  }
  return found;
}

TMD_AVX2 inline int32_t scan_avx2(const Scan<double>& scan, int32_t* out) {
  const __m256d cx = _mm256_set1_pd(scan.center[0]), tx = _mm256_set1_pd(scan.translation[0]);
  const __m256d cy = _mm256_set1_pd(scan.center[1]), ty = _mm256_set1_pd(scan.translation[1]);
  const __m256d cz = _mm256_set1_pd(scan.center[2]), tz = _mm256_set1_pd(scan.translation[2]);
  const __m256d upper = _mm256_set1_pd(scan.upper_squared), lower = _mm256_set1_pd(scan.lower_squared);
  int32_t found = 0;
  for (const SlotRun* run = scan.runs; run != scan.runs_end; ++run) {
    for (int32_t k = std::max(run->begin, scan.first); k < run->end; k += 4) {
      const __m256d dx = _mm256_sub_pd(_mm256_sub_pd(cx, _mm256_loadu_pd(scan.x + k)), tx);
      const __m256d dy = _mm256_sub_pd(_mm256_sub_pd(cy, _mm256_loadu_pd(scan.y + k)), ty);
      const __m256d dz = _mm256_sub_pd(_mm256_sub_pd(cz, _mm256_loadu_pd(scan.z + k)), tz);
      const __m256d squared = _mm256_fmadd_pd(dz, dz, _mm256_fmadd_pd(dy, dy, _mm256_mul_pd(dx, dx)));
      const __m256d near = _mm256_and_pd(_mm256_cmp_pd(squared, upper, _CMP_LT_OQ), _mm256_cmp_pd(squared, lower, _CMP_GE_OQ));
      const uint32_t mask = _mm256_movemask_pd(near) & lanes_that_count(k, run->end, scan.self, 4);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + found), _mm256_castsi256_si128(set_lanes(mask, k)));
      found += _mm_popcnt_u32(mask);
    }
  }
  return found;
}

TMD_AVX512 inline int32_t scan_avx512(const Scan<float>& scan, int32_t* out) {
  const __m512 cx = _mm512_set1_ps(scan.center[0]), tx = _mm512_set1_ps(scan.translation[0]);
  const __m512 cy = _mm512_set1_ps(scan.center[1]), ty = _mm512_set1_ps(scan.translation[1]);
  const __m512 cz = _mm512_set1_ps(scan.center[2]), tz = _mm512_set1_ps(scan.translation[2]);
  const __m512 upper = _mm512_set1_ps(scan.upper_squared), lower = _mm512_set1_ps(scan.lower_squared);
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  int32_t found = 0;
  for (const SlotRun* run = scan.runs; run != scan.runs_end; ++run) {
    for (int32_t k = std::max(run->begin, scan.first); k < run->end; k += 16) {
      const __m512 dx = _mm512_sub_ps(_mm512_sub_ps(cx, _mm512_loadu_ps(scan.x + k)), tx);
      const __m512 dy = _mm512_sub_ps(_mm512_sub_ps(cy, _mm512_loadu_ps(scan.y + k)), ty);
      const __m512 dz = _mm512_sub_ps(_mm512_sub_ps(cz, _mm512_loadu_ps(scan.z + k)), tz);
      const __m512 squared = _mm512_fmadd_ps(dz, dz, _mm512_fmadd_ps(dy, dy, _mm512_mul_ps(dx, dx)));
      const __mmask16 inside = static_cast<__mmask16>(lanes_that_count(k, run->end, scan.self, 16));
      const __mmask16 below = _mm512_mask_cmp_ps_mask(inside, squared, upper, _CMP_LT_OQ);
      const __mmask16 mask = _mm512_mask_cmp_ps_mask(below, squared, lower, _CMP_GE_OQ);
      const __m512i slots = _mm512_add_epi32(lanes, _mm512_set1_epi32(k));
      _mm512_storeu_si512(out + found, _mm512_maskz_compress_epi32(mask, slots));
      found += _mm_popcnt_u32(mask);
    }
  }
  return found;
}

TMD_AVX512 inline int32_t scan_avx512(const Scan<double>& scan, int32_t* out) {
  const __m512d cx = _mm512_set1_pd(scan.center[0]), tx = _mm512_set1_pd(scan.translation[0]);
  const __m512d cy = _mm512_set1_pd(scan.center[1]), ty = _mm512_set1_pd(scan.translation[1]);
  const __m512d cz = _mm512_set1_pd(scan.center[2]), tz = _mm512_set1_pd(scan.translation[2]);
  const __m512d upper = _mm512_set1_pd(scan.upper_squared), lower = _mm512_set1_pd(scan.lower_squared);
  const __m256i lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  int32_t found = 0;
  for (const SlotRun* run = scan.runs; run != scan.runs_end; ++run) {
    for (int32_t k = std::max(run->begin, scan.first); k < run->end; k += 8) {
      const __m512d dx = _mm512_sub_pd(_mm512_sub_pd(cx, _mm512_loadu_pd(scan.x + k)), tx);
      const __m512d dy = _mm512_sub_pd(_mm512_sub_pd(cy, _mm512_loadu_pd(scan.y + k)), ty);
      const __m512d dz = _mm512_sub_pd(_mm512_sub_pd(cz, _mm512_loadu_pd(scan.z + k)), tz);
      const __m512d squared = _mm512_fmadd_pd(dz, dz, _mm512_fmadd_pd(dy, dy, _mm512_mul_pd(dx, dx)));
      const __mmask8 inside = static_cast<__mmask8>(lanes_that_count(k, run->end, scan.self, 8));
      const __mmask8 below = _mm512_mask_cmp_pd_mask(inside, squared, upper, _CMP_LT_OQ);
      const __mmask8 mask = _mm512_mask_cmp_pd_mask(below, squared, lower, _CMP_GE_OQ);
      const __m256i slots = _mm256_add_epi32(lanes, _mm256_set1_epi32(k));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + found), _mm256_maskz_compress_epi32(mask, slots));
      found += _mm_popcnt_u32(mask);
    }
  }
  return found;
}
#endif

// The best version for the machine.
template <class T>
using ScanFunction = int32_t (*)(const Scan<T>&, int32_t*);

template <class T>
ScanFunction<T> scan_function() {
#if defined(__x86_64__)
  if (instructions() == Instructions::kAvx512) return static_cast<ScanFunction<T>>(scan_avx512);
  if (instructions() == Instructions::kAvx2) return static_cast<ScanFunction<T>>(scan_avx2);
#endif
  return scan_baseline<T>;
}

}  // namespace torchmdnet
