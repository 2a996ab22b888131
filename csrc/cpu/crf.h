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

  // How many numbers the rows take together.
  static int64_t size(int64_t labels, int64_t row) { return (2 * labels + 3) * row; }
};

// The real tokens of one sentence; the scores of a token lie together, tokens `stride` apart.
template <class T>
struct Sentence {
  const T* emissions;
  int64_t length, stride;

  const T* at(int64_t t) const { return emissions + t * stride; }
};

// `scratch` holds (kCounted + 3) · row numbers; rows of alphas and by_emissions have K numbers.
template <class T>
struct CrfLoops {
  void (*prepare_sums)(const Scores<T>&, Ready<T>&);
  void (*prepare_best)(const Scores<T>&, Ready<T>&);
  // Returns the log partition, NaN where a step underflows; saves a_t and s_t.
  double (*forward)(const Ready<T>&, const Sentence<T>&, T* alphas, T* scales, T* scratch);
  // Bounds what underflow may have taken from the partition, in units of the smallest number.
  double (*lost)(const Ready<T>&, const Sentence<T>&, const T* alphas, const T* scales, T* scratch);
  // Writes factor · marginals; unless `counts` [K, row] is null, adds to it factor · the expected
  // transitions, still to be multiplied by the moves.
  void (*backward)(const Ready<T>&, const Sentence<T>&, const T* alphas, const T* scales, T factor,
                   T* by_emissions, T* counts, T* scratch);
  // Writes the best path and returns its score. `values` holds length · row numbers.
  double (*viterbi)(const Ready<T>&, const Sentence<T>&, int64_t* path, T* values, T* scratch);
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
