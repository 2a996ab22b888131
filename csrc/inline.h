#pragma once

#ifdef __CUDACC__
#define MTL_INLINE __host__ __device__ __forceinline__
#else
// Always inline: each instruction set needs its own code, and linkers keep only one copy of a function.
#define MTL_INLINE inline __attribute__((always_inline))
#endif
