// For every processor: SSE2 on x86-64, NEON on ARM.
#include "pool.h"

#define MTL_ISA base
#include "pool_loops.h"
