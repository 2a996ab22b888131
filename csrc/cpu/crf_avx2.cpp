// For x86-64 of the last ten years. All headers come before the pragma: what they define inline may
// end up anywhere in the program.
#include "crf.h"

#ifdef __x86_64__
#pragma GCC target("avx2,fma")
#define MTL_ISA avx2
#define MTL_BYTES 32
#include "crf_loops.h"
#endif
