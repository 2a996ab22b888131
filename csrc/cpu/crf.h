// What the loops of the CRF are given, and the functions that each instruction set provides.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace mtl {

// Steps whose transitions are counted together: what they need stays in the first or second cache.
constexpr int64_t kCounted = 32;
// Sentences that go through a pass together.
constexpr int64_t kTogether = 4;

// The scores of the labels, as they came (contiguous).
template <class T>
struct Scores {
  int64_t labels;        // K
  const T* transitions;  // [K, K]
  const T* start;        // [K]
  const T* end;          // [K]
};

// The same made ready for the loops, once a call. Rows are filled up to `row` labels, a whole number
// of vectors, with labels of score −∞, so that no path takes them.
template <class T>
struct Ready {
  int64_t labels, row;
  T* start;  // [row]
  T* end;    // [row]; for sums e^(end − its largest)
  // [K, row] from label to label, and the same by the label that is reached. For sums
  // e^(transition − column), where column [row] holds the largest score of reaching each label.
  T *moves, *moves_back, *column;
  double end_top, spread;  // the largest score of an end; how far scores of a column, or ends, differ
  // For the best path the largest and the least score of leaving a label [row], and whether to make
  // use of them: with few labels it takes longer.
  T *most, *least;
  bool selects;

  // How many numbers the rows take together.
  static int64_t size(int64_t labels, int64_t row) { return (2 * labels + 5) * row; }
};

// The real tokens of one sentence; the scores of a token lie together, tokens `stride` apart.
template <class T>
struct Sentence {
  const T* emissions;
  int64_t length, stride;

  const T* at(int64_t t) const { return emissions + t * stride; }
};

// A sentence on its way through a pass. Some go together, a step of each in turn: a step waits for
// the one before it and for memory, but not for other sentences.
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

// `scratch` holds (kCounted + 2) · row numbers; rows of alphas and by_emissions have K numbers.
template <class T>
struct CrfLoops {
  void (*prepare_sums)(const Scores<T>&, Ready<T>&);
  void (*prepare_best)(const Scores<T>&, Ready<T>&);
  // Finds the log partitions, NaN where a step underflows; saves a_t and s_t.
  void (*forward)(const Ready<T>&, Sums<T>*, int64_t count, T* scratch);
  // Bounds what underflow may have taken from the partition, in units of the smallest number.
  double (*lost)(const Ready<T>&, const Sums<T>&, T* scratch);
  // Writes factor · marginals; unless `counts` [K, row] is null, adds to it factor · the expected
  // transitions, still to be multiplied by the moves.
  void (*backward)(const Ready<T>&, const Sentence<T>&, const T* alphas, const T* scales, T factor,
                   T* by_emissions, T* counts, T* scratch);
  // Finds the best paths and their scores; `from` holds `row` numbers.
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
