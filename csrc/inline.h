#pragma once

#ifdef __CUDACC__
#define MTL_INLINE __host__ __device__ __forceinline__
#else
// Never a function of its own: each instruction set needs its own code, and linkers keep but one.
#define MTL_INLINE inline __attribute__((always_inline))
#endif
