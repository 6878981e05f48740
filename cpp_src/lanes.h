// Vectors of numbers in registers, and several versions of a function, one an instruction set.
#pragma once
#include <cstring>

// The loader picks the version for the best instruction set that the machine has.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__)
#define TMD_CLONES __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define TMD_CLONES
#endif
// The iterations of the loop that follows are independent: they may run side by side.
#if defined(__GNUC__) && !defined(__clang__)
#define TMD_INDEPENDENT _Pragma("GCC ivdep")
#else
#define TMD_INDEPENDENT
#endif
#define TMD_INLINE inline __attribute__((always_inline))

namespace torchmdnet {

// W values of type T that the compiler keeps in registers.
template <class T, int W>
struct Lanes {
  typedef T Vector __attribute__((vector_size(W * sizeof(T))));
  Vector v;
  TMD_INLINE void load(const T* from) { std::memcpy(&v, from, sizeof v); }
  TMD_INLINE void store(T* to) const { std::memcpy(to, &v, sizeof v); }
  TMD_INLINE T sum() const {
    T parts[W];
    std::memcpy(parts, &v, sizeof v);
    for (int half = W / 2; half > 0; half /= 2)
      for (int w = 0; w < half; ++w) parts[w] += parts[w + half];
    return parts[0];
  }
};
template <class T>
struct Lanes<T, 1> {
  T v;
  TMD_INLINE void load(const T* from) { v = *from; }
  TMD_INLINE void store(T* to) const { *to = v; }
  TMD_INLINE T sum() const { return v; }
};

}  // namespace torchmdnet
