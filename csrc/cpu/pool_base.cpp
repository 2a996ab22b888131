// For every processor: SSE2 on x86-64, NEON on ARM.
#include "pool.h"

#define MTL_ISA base
#define MTL_BYTES 16
#include "pool_loops.h"
