// For every processor: SSE2 on x86-64, NEON on ARM.
#include "linear.h"

#define MTL_ISA base
#define MTL_BYTES 16
#include "linear_loops.h"
