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

// What one call of a loop works on: channels `first` up to `end`, at most kBlock of them, of one
// direction of one sentence.
struct Part {
  int64_t sentence, direction, first, end;
};

// A batch of sentences. Steps of gates and by_h stand apart by a stride, so do those of by_gates;
// everything else is contiguous. A row of D directions has them side by side. Pointers that may be
// null say so.
template <class T>
struct Batch {
  int64_t steps, width, count, directions;  // T, H, G gates a channel, D
  bool reverse;                             // the first direction
  const T* gates;                           // [B, T, D·G·H]
  int64_t gates_sentence, gates_step;
  const T* c0;             // [B, D·H] or null: zero
  const int64_t* lengths;  // [B] or null: all steps
  const bool* keep;        // [B, T, D·H] or null: nowhere

  int64_t length(int64_t sentence) const {
    return lengths ? std::clamp<int64_t>(lengths[sentence], 0, steps) : steps;
  }
  bool backwards(const Part& part) const { return reverse != (part.direction == 1); }
  // The numbers in a row of D directions, and where those of a part begin: in a row of states, in
  // one of gates.
  int64_t row() const { return directions * width; }
  int64_t column(const Part& part) const { return part.direction * width + part.first; }
  int64_t gate_column(const Part& part) const {
    return part.direction * count * width + part.first;
  }
};

template <class T>
struct Forward : Batch<T> {
  T* h;       // [B, T, D·H]
  T* last;    // [B, D·H]
  T* states;  // [B, T, D·H] or null: not wanted
};

template <class T>
struct Backward : Batch<T> {
  const T* states;  // [B, T, D·H]
  const T* by_h;    // [B, T, D·H]
  int64_t by_h_sentence, by_h_step;
  const T* by_last;  // [B, D·H]
  T* by_gates;       // [B, T, D·G·H], perhaps the gates themselves
  int64_t by_gates_sentence, by_gates_step;
  T* by_c0;  // [B, D·H]
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
