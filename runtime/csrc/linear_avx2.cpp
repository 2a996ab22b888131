// For x86-64 processors with AVX2. All headers come before the pragma, because the linker may use their
// inline functions anywhere in the program.
#include "linear.h"

#ifdef __x86_64__
#pragma GCC target("avx2,fma")
#define MTL_ISA avx2
#define MTL_BYTES 32
#include "linear_loops.h"
#endif
