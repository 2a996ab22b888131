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

namespace mtl {

// Channels of which a loop holds the state at hand: 8 KB of float, well inside the first cache.
constexpr int64_t kBlock = 2048;

// A batch of sentences. Steps of a row of `gates` or `by_h` stand apart by a stride; everything else
// is contiguous. Pointers that may be null say so.
template <class T>
struct Batch {
  int64_t steps, width, count;  // T, H, gates a channel
  bool reverse;
  const T* gates;  // [B, T, count·H]
  int64_t gates_sentence, gates_step;
  const T* c0;             // [B, H] or null: zero
  const int64_t* lengths;  // [B] or null: all steps
  const bool* keep;        // [B, T, H] or null: nowhere

  int64_t length(int64_t sentence) const {
    return lengths ? std::clamp<int64_t>(lengths[sentence], 0, steps) : steps;
  }
  // The place of the n-th real step in the order of reading.
  int64_t place(int64_t n, int64_t length) const { return reverse ? length - 1 - n : n; }
};

template <class T>
struct Forward : Batch<T> {
  T* h;       // [B, T, H]
  T* last;    // [B, H]
  T* states;  // [B, T, H] or null: not wanted
};

template <class T>
struct Backward : Batch<T> {
  const T* states;  // [B, T, H]
  const T* by_h;    // [B, T, H]
  int64_t by_h_sentence, by_h_step;
  const T* by_last;  // [B, H]
  T* by_gates;       // [B, T, count·H]
  T* by_c0;          // [B, H]
};

// Channels `first` up to `end` of one sentence, at most kBlock of them.
#define MTL_DECLARE(isa)                                                           \
  namespace isa {                                                                  \
  template <class T>                                                               \
  void forward(const Forward<T>&, int64_t sentence, int64_t first, int64_t end);   \
  template <class T>                                                               \
  void backward(const Backward<T>&, int64_t sentence, int64_t first, int64_t end); \
  }
MTL_DECLARE(base)
MTL_DECLARE(avx2)
MTL_DECLARE(avx512)
#undef MTL_DECLARE

}  // namespace mtl
