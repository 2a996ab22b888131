// For every processor: SSE2 on x86-64, NEON on ARM.
#include "crf.h"

#define MTL_ISA base
#define MTL_BYTES 16
#include "crf_loops.h"
