// What this library was compiled for and what it uses here, read with ctypes by torchmdnet/ops/native.py.
#include "lanes.h"

#define TMD_EXPORT extern "C" __attribute__((visibility("default")))

TMD_EXPORT const char* torchmdnet_instruction_sets() {
#if defined(__x86_64__)
  return "baseline x86-64, AVX2, AVX-512";
#elif defined(__aarch64__)
  return "baseline AArch64";
#else
  return "baseline";
#endif
}

TMD_EXPORT const char* torchmdnet_instructions_in_use() {
#if defined(__x86_64__)
  switch (torchmdnet::instructions()) {
    case torchmdnet::Instructions::kAvx512: return "AVX-512";
    case torchmdnet::Instructions::kAvx2: return "AVX2";
    default: break;
  }
#endif
  return "baseline";
}
