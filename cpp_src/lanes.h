// Vectors of numbers in registers, and several versions of a function, one an instruction set.
#pragma once
#include <cstdlib>
#include <cstring>
#include <string_view>

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
struct Lanes;
template <class T>
struct Lanes<T, 1> {
  T v;
  TMD_INLINE void load(const T* from) { v = *from; }
  TMD_INLINE void store(T* to) const { *to = v; }
  TMD_INLINE T sum() const { return v; }
};
template <class T, int W>
struct Lanes {
  typedef T Vector __attribute__((vector_size(W * sizeof(T))));
  Vector v;
  TMD_INLINE void load(const T* from) { std::memcpy(&v, from, sizeof v); }
  TMD_INLINE void store(T* to) const { std::memcpy(to, &v, sizeof v); }
  TMD_INLINE T sum() const {
    Lanes<T, W / 2> halves[2];  // not an array of W values, which would go through memory
    std::memcpy(halves, &v, sizeof v);
    halves[0].v += halves[1].v;
    return halves[0].sum();
  }
};

#if defined(__x86_64__)
enum class Instructions { kBaseline, kAvx2, kAvx512 };

// Asked of the machine once. A feature counts only if the operating system keeps its registers. PyTorch's own variable
// ATEN_CPU_CAPABILITY = default | avx2 asks for less than there is.
inline Instructions instructions() {
  static const Instructions best = [] {
    __builtin_cpu_init();
    const char* asked = std::getenv("ATEN_CPU_CAPABILITY");
    const std::string_view most = asked ? asked : "";
    if (most == "default") return Instructions::kBaseline;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Instructions::kBaseline;
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    return wide && most != "avx2" ? Instructions::kAvx512 : Instructions::kAvx2;
  }();
  return best;
}

template <auto kernel, class... Args>
__attribute__((target("avx2,fma"))) void run_avx2(Args... args) {
  kernel(args...);
}
template <auto kernel, class... Args>
__attribute__((target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl"))) void run_avx512(Args... args) {
  kernel(args...);
}

// Calls a TMD_INLINE function that was compiled once for each instruction set, in the best version for the machine.
template <auto kernel, class... Args>
void run(Args... args) {
  switch (instructions()) {
    case Instructions::kAvx512: return run_avx512<kernel>(args...);
    case Instructions::kAvx2: return run_avx2<kernel>(args...);
    default: return kernel(args...);
  }
}
#else
template <auto kernel, class... Args>
void run(Args... args) {
  kernel(args...);
}
#endif

}  // namespace torchmdnet
