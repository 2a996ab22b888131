// For x86-64 processors with 512-bit vectors. linear_avx2.cpp explains the order of the lines.
#include "linear.h"

#ifdef __x86_64__
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#define MTL_ISA avx512
#define MTL_BYTES 64
#include "linear_loops.h"
#endif
