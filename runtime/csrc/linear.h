// A linear layer: the inputs of the loops, and the functions that each instruction set provides.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "cpu/halves.h"
#include "inline.h"

namespace mtl {

// y = x W^T + bias. `weights` are packed for the loops: [panels, inputs, lanes], where a panel holds the
// weights of as many outputs as a vector has lanes.
struct Linear {
  const float* x;  // [rows, inputs]
  int64_t rows, inputs, outputs;
  const float* weights;  // packed
  const float* bias;     // [outputs] or null
  float* y;              // [rows, outputs]
};

#define MTL_DECLARE(isa)                                                                      \
  namespace isa {                                                                             \
  void linear(const Linear&);                                                                 \
  void pack_linear(const float* weights, int64_t outputs, int64_t inputs, float* packed);     \
  }
MTL_DECLARE(base)
MTL_DECLARE(avx2)
MTL_DECLARE(avx512)
#undef MTL_DECLARE

}  // namespace mtl
