// The data of one operator call, shared by CPU and CUDA.
#pragma once

#include <cstdint>

#include "inline.h"

namespace mtl {

// A batch of sentences. Steps of gates, by_h and by_gates have strides; everything else is contiguous.
// The D directions are side by side in a row. Comments mark the pointers that may be null.
template <class T>
struct Batch {
  int64_t sentences, steps, width, count, directions;  // B, T, H, G gates per channel, D
  bool reverse;                                        // the first direction
  const T* gates;                                      // [B, T, D·G·H]
  int64_t gates_sentence, gates_step;
  const T* c0;             // [B, D·H] or null: zero
  const int64_t* lengths;  // [B] or null: all steps
  const bool* keep;        // [B, T, D·H] or null: nowhere

  MTL_INLINE int64_t length(int64_t sentence) const {
    const int64_t told = lengths ? lengths[sentence] : steps;
    return told < 0 ? 0 : told > steps ? steps : told;
  }
  MTL_INLINE bool backwards(int64_t direction) const { return reverse != (direction == 1); }
  // The size of a row of D directions, and the offset of a channel in a row of states or of gates.
  MTL_INLINE int64_t row() const { return directions * width; }
  MTL_INLINE int64_t column(int64_t direction, int64_t channel) const {
    return direction * width + channel;
  }
  MTL_INLINE int64_t gate_column(int64_t direction, int64_t channel) const {
    return direction * count * width + channel;
  }
};

template <class T>
struct Forward : Batch<T> {
  T* h;       // [B, T, D·H]
  T* last;    // [B, D·H]
  T* states;  // [B, T, D·H] or null: not needed
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

}  // namespace mtl
