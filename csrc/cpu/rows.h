// Recurrences over rows of a table: the inputs of the loops, and the functions that each instruction set
// provides.
//
// A row holds the products of a word with the weights of the first layer, so a batch needs no products
// with the word vectors. The rows are read where they are; no tensor of gates is written.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "../inline.h"
#include "halves.h"

namespace mtl {

// Sentences and the rows of their tokens. The D directions are side by side in the rows of the table and of h.
template <class T>
struct Rows {
  int64_t sentences, steps, width, directions;  // B, T, H, D
  bool reverse;                                 // the first direction
  const T* table;
  int64_t stride;          // numbers per row
  const int64_t* ids;      // [B, T] or null: the rows are those of the tokens, in order
  const int64_t* lengths;  // [B] or null: all steps
  const float* start;      // [parts, D·H] or null: zero
  float* h;                // [B, T, D·H]

  const T* at(int64_t sentence, int64_t step) const {
    const int64_t token = sentence * steps + step;
    return table + (ids ? ids[token] : token) * stride;
  }
  int64_t length(int64_t sentence) const {
    const int64_t told = lengths ? lengths[sentence] : steps;
    return told < 0 ? 0 : told > steps ? steps : told;
  }
  bool backwards(int64_t direction) const { return reverse != (direction == 1); }
  int64_t row() const { return directions * width; }
  float* out(int64_t sentence, int64_t step, int64_t direction) const {
    return h + (sentence * steps + step) * row() + direction * width;
  }
};

// Pooling: a row is [window, D, G, H]. Part k of a row is added to the gates k tokens later in reading order.
template <class T>
struct PoolRows : Rows<T> {
  int64_t count, window;  // G gates per channel
};

// LSTM and GRU: a row is [D, G, H]. `weights` are packed for the loops: [D, panels, H, G, lanes], where a
// panel holds the weights of as many units as a vector has lanes.
template <class T>
struct CellRows : Rows<T> {
  int64_t count;         // 4 for LSTM (input, forget, cell, output), 3 for GRU (reset, update, new)
  const float* weights;  // packed
  const float* bias;     // [D, H] of the new gate's recurrent product, for GRU only
  int64_t start_stride = 0;  // from the start of a sentence to that of the next one; 0: they share it
  float* cells = nullptr;    // [B, D·H] or null: the cell states after the last step, for LSTM only
};

// The number of sentences that the cells step through together.
constexpr int64_t kGroup = 24;

#define MTL_DECLARE(isa)                                                                       \
  namespace isa {                                                                              \
  template <class T>                                                                           \
  void pool_rows(const PoolRows<T>&, int64_t sentence, int64_t direction);                     \
  template <class T>                                                                           \
  void cell_rows(const CellRows<T>&, const int64_t* order, int64_t count, int64_t direction);  \
  void pack(const float* weights, int64_t count, int64_t width, float* packed);                \
  }
MTL_DECLARE(base)
MTL_DECLARE(avx2)
MTL_DECLARE(avx512)
#undef MTL_DECLARE

}  // namespace mtl
