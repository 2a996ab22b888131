// The inputs of the CRF loops, and the functions that each instruction set provides.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "halves.h"

namespace mtl {

// Steps whose transitions are counted together; their data fits into the first or second cache.
constexpr int64_t kCounted = 32;
// Sentences processed together in a pass.
constexpr int64_t kTogether = 4;

// The scores of the labels, as passed by the caller (contiguous).
template <class T>
struct Scores {
  int64_t labels;        // K
  const T* transitions;  // [K, K]
  const T* start;        // [K]
  const T* end;          // [K]
};

// The same scores, prepared for the loops once per call. Rows are padded to `row` labels, a whole number
// of vectors. The padding has score −∞, so no path contains it.
template <class T>
struct Ready {
  int64_t labels, row;
  T* start;  // [row]
  T* end;    // [row]; for sums e^(end − the largest end score)
  // [K, row] indexed by source label, and the same indexed by target label. For sums
  // e^(transition − column), where column [row] is the largest transition score into each label.
  T *moves, *moves_back, *column;
  // The largest end score; the largest difference within a column, or between end scores.
  double end_top, spread;
  // For the best path: the largest and the smallest score of transitions from a label [row], and whether
  // to use them. With few labels, using them is slower.
  T *most, *least;
  bool selects;

  // The total size of the rows, in numbers.
  static int64_t size(int64_t labels, int64_t row) { return (2 * labels + 5) * row; }
};

// The real tokens of one sentence. The scores of a token are contiguous; tokens are `stride` apart.
template <class T>
struct Sentence {
  const T* emissions;
  int64_t length, stride;

  const T* at(int64_t t) const { return emissions + t * stride; }
};

// The state of a sentence during a pass. Several sentences are interleaved, one step of each in turn: a
// step waits for the previous one and for memory, but not for other sentences.
template <class T>
struct Sums {
  Sentence<T> sentence;
  T *alphas, *scales;  // [length, K], [length]
  double log_sum = 0, product = 1;
};

template <class T>
struct Best {
  Sentence<T> sentence;
  int64_t* path;
  T* values;  // [length, row]
  double score = 0;
  T subtracted = 0;
};

// `scratch` has (kCounted + 2) · row numbers; rows of alphas and by_emissions have K numbers.
template <class T>
struct CrfLoops {
  void (*prepare_sums)(const Scores<T>&, Ready<T>&);
  void (*prepare_best)(const Scores<T>&, Ready<T>&);
  // Computes the log partitions, NaN where a step underflows; saves a_t and s_t.
  void (*forward)(const Ready<T>&, Sums<T>*, int64_t count, T* scratch);
  // An upper bound on what the partition lost to underflow, in units of the smallest number.
  double (*lost)(const Ready<T>&, const Sums<T>&, T* scratch);
  // Writes factor · marginals. Unless `counts` [K, row] is null, adds factor · the expected transitions
  // to it; the caller multiplies them by the moves.
  void (*backward)(const Ready<T>&, const Sentence<T>&, const T* alphas, const T* scales, T factor,
                   T* by_emissions, T* counts, T* scratch);
  // Computes the best paths and their scores; `from` has `row` numbers.
  void (*viterbi)(const Ready<T>&, Best<T>*, int64_t count, int32_t* from);
};

#define MTL_DECLARE(isa)     \
  namespace isa {            \
  template <class T>         \
  CrfLoops<T> crf_loops();   \
  }
MTL_DECLARE(base)
MTL_DECLARE(avx2)
MTL_DECLARE(avx512)
#undef MTL_DECLARE

}  // namespace mtl
