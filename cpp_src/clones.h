// Several versions of a function, one an instruction set; the loader picks the best that the machine has.
#pragma once

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__)
#define TMD_CLONES __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define TMD_CLONES
#endif
#define TMD_INLINE inline __attribute__((always_inline))
