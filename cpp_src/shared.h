// What marks functions that the CPU and the CUDA code share.
#pragma once

#if defined(__CUDACC__)
#define TMD_SHARED __host__ __device__ inline
#else
#define TMD_SHARED inline
#endif

// The same, for short functions that take on the instruction set of their caller.
#define TMD_SHARED_INLINE TMD_SHARED __attribute__((always_inline))
