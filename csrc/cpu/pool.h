// What the loops of every instruction set are given, and the functions that they provide.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "../pool.h"

namespace mtl {

// Channels of which a loop holds the state at hand: 8 KB of float, well inside the first cache.
constexpr int64_t kBlock = 2048;

// What one call of a loop works on: channels `first` up to `end`, at most kBlock of them, of one
// direction of one sentence.
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
