// The inputs of the pooling loops, and the functions that each instruction set provides.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "../pool.h"
#include "halves.h"

namespace mtl {

// Channels per block: their state is 8 KB of float, which fits into the first cache.
constexpr int64_t kBlock = 2048;

// The data of one call of a loop: channels `first` up to `end`, at most kBlock, of one direction of one
// sentence.
struct Part {
  int64_t sentence, direction, first, end;
};

#define MTL_DECLARE(isa)                         \
  namespace isa {                                \
  template <class T>                             \
  void forward(const Forward<T>&, const Part&);  \
  template <class T>                             \
  void backward(const Backward<T>&, const Part&); \
  }
MTL_DECLARE(base)
MTL_DECLARE(avx2)
MTL_DECLARE(avx512)
#undef MTL_DECLARE

}  // namespace mtl
