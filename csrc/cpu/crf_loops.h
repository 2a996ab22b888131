// The loops of the CRF over steps and labels. Included once an instruction set, MTL_ISA being its
// namespace. Formulas and names are those of ../README.md.

#include "crf_rows.h"

namespace mtl::MTL_ISA {

template <class T>
struct Crf : CrfRows<T> {
  using typename CrfRows<T>::A;
  using typename CrfRows<T>::L;
  using CrfRows<T>::kInfinity;
  using CrfRows<T>::kLanes;
  using CrfRows<T>::exponential;
  using CrfRows<T>::larger;
  using CrfRows<T>::largest;
  using CrfRows<T>::multiply;
  using CrfRows<T>::reach;
  using CrfRows<T>::read;
  using CrfRows<T>::total;
  using CrfRows<T>::write;

  // x = e^(emission + added − m), m the largest of the sums, which is returned.
  static MTL_INLINE T emit(const Ready<T>& p, const T* emission, const T* added, T* x) {
    A top = A{} - kInfinity;
    for (int64_t k = 0; k < p.row; k += kLanes) {
      const A sum = read(emission + k, p.labels - k) + L::read(added + k);
      L::write(x + k, sum);
      top = larger(sum, top);
    }
    const T m = largest(top);
    for (int64_t k = 0; k < p.row; k += kLanes) L::write(x + k, exponential(L::read(x + k) - m));
    return m;
  }

  static void transpose(Ready<T>& p) {
    for (int64_t k = 0; k < p.labels * p.row; ++k) p.moves_back[k] = -kInfinity;
    for (int64_t i = 0; i < p.labels; ++i)
      for (int64_t j = 0; j < p.labels; ++j) p.moves_back[j * p.row + i] = p.moves[i * p.row + j];
  }

  // Copies `count` rows and fills them up with −∞.
  static void pad(const T* from, int64_t count, const Ready<T>& p, T* to) {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t k = 0; k < p.row; ++k)
        to[i * p.row + k] = k < p.labels ? from[i * p.labels + k] : -kInfinity;
  }

  static void prepare_best(const Scores<T>& scores, Ready<T>& p) {
    pad(scores.start, 1, p, p.start);
    pad(scores.end, 1, p, p.end);
    pad(scores.transitions, p.labels, p, p.moves);
    transpose(p);
  }

  static void prepare_sums(const Scores<T>& scores, Ready<T>& p) {
    prepare_best(scores, p);
    p.spread = 0;
    for (int64_t k = 0; k < p.row; k += kLanes) {
      A top = A{} - kInfinity, bottom = A{} + kInfinity;
      for (int64_t i = 0; i < p.labels; ++i) {
        const A x = L::read(p.moves + i * p.row + k);
        top = larger(x, top);
        bottom = -larger(-x, -bottom);
      }
      L::write(p.column + k, top);
      const A subtracted = top == A{} - kInfinity ? A{} : top;  // a label that none leads to
      for (int64_t i = 0; i < p.labels; ++i) {
        T* move = p.moves + i * p.row + k;
        L::write(move, exponential(L::read(move) - subtracted));
      }
      p.spread = std::fmax(p.spread, largest(subtracted == top ? top - bottom : A{}));
    }
    for (int64_t j = 0; j < p.labels; ++j)
      for (int64_t i = 0; i < p.row; ++i)
        p.moves_back[j * p.row + i] = i < p.labels ? p.moves[i * p.row + j] : T(0);
    A top = A{} - kInfinity;
    T bottom = kInfinity;
    for (int64_t k = 0; k < p.row; k += kLanes) top = larger(L::read(p.end + k), top);
    for (int64_t k = 0; k < p.labels; ++k) bottom = p.end[k] < bottom ? p.end[k] : bottom;
    p.end_top = largest(top);
    p.spread = std::fmax(p.spread, p.end_top - bottom);
    for (int64_t k = 0; k < p.row; k += kLanes)
      L::write(p.end + k, exponential(L::read(p.end + k) - T(p.end_top)));
  }

  static double forward(const Ready<T>& p, const Sentence<T>& sentence, T* alphas, T* scales,
                        T* scratch) {
    T *a = scratch, *x = a + p.row, *u = x + p.row;
    double log_sum = p.end_top, product = 1;
    for (int64_t t = 0; t < sentence.length; ++t) {
      log_sum += emit(p, sentence.at(t), t ? p.column : p.start, x);
      if (t) multiply(p.moves, p.labels, p.row, a, u);
      A sum{};
      for (int64_t k = 0; k < p.row; k += kLanes) {
        const A y = t ? L::read(u + k) * L::read(x + k) : L::read(x + k);
        L::write(u + k, y);
        sum += y;
      }
      const T scale = total(sum);
      const T inverse = 1 / scale;
      for (int64_t k = 0; k < p.row; k += kLanes) {
        const A y = L::read(u + k) * inverse;
        L::write(a + k, y);
        write(alphas + t * p.labels + k, y, p.labels - k);
      }
      scales[t] = scale;
      // Logarithms are dear: of the product, and only when it leaves what a double holds well.
      product *= scale;
      if (!(product > 1e-200 && product < 1e200)) log_sum += std::log(product), product = 1;
    }
    A sum{};
    for (int64_t k = 0; k < p.row; k += kLanes) sum += L::read(a + k) * L::read(p.end + k);
    return log_sum + std::log(product * total(sum));
  }

  // Makes Σ_j a_j·β_j = 1, as it would be everywhere if nothing were rounded.
  static MTL_INLINE void renormalise(const Ready<T>& p, const T* a, T* beta) {
    A sum{};
    for (int64_t k = 0; k < p.row; k += kLanes)
      sum += read(a + k, p.labels - k) * L::read(beta + k);
    const T inverse = 1 / total(sum);
    for (int64_t k = 0; k < p.row; k += kLanes) L::write(beta + k, L::read(beta + k) * inverse);
  }

  // w = x·β/s at step t.
  static MTL_INLINE void step_back(const Ready<T>& p, const T* emission, T scale, const T* beta,
                                   T* w) {
    emit(p, emission, p.column, w);
    const T inverse = 1 / scale;
    for (int64_t k = 0; k < p.row; k += kLanes)
      L::write(w + k, L::read(w + k) * inverse * L::read(beta + k));
  }

  static double lost(const Ready<T>& p, const Sentence<T>& sentence, const T* alphas,
                     const T* scales, T* scratch) {
    T *beta = scratch, *w = beta + p.row;
    std::memcpy(beta, p.end, p.row * sizeof(T));
    renormalise(p, alphas + (sentence.length - 1) * p.labels, beta);
    double all = 0;
    for (int64_t t = sentence.length - 1; t >= 0; --t) {
      double here = 0;
      for (int64_t k = 0; k < p.labels; ++k) here += beta[k];
      all += here * std::fmax(1.0, 1.0 / scales[t]);
      if (t == 0) break;
      step_back(p, sentence.at(t), scales[t], beta, w);
      multiply(p.moves_back, p.labels, p.row, w, beta);
    }
    return all;
  }

  // counts_ij += factor · Σ_n a_n,i·w_n,j for R labels i and V vectors of j; a goes back in time.
  template <int R, int V>
  static MTL_INLINE void tile(const T* a, int64_t labels, const T* w, int64_t row, int64_t steps,
                              T factor, T* counts) {
    A sum[R][V] = {};
    for (int64_t n = 0; n < steps; ++n)
      MTL_UNROLL
      for (int r = 0; r < R; ++r)
        MTL_UNROLL
        for (int v = 0; v < V; ++v)
          sum[r][v] += a[r - n * labels] * L::read(w + n * row + v * kLanes);
    MTL_UNROLL
    for (int r = 0; r < R; ++r)
      MTL_UNROLL
      for (int v = 0; v < V; ++v) {
        T* count = counts + r * row + v * kLanes;
        L::write(count, L::read(count) + factor * sum[r][v]);
      }
  }

  template <int V>
  static MTL_INLINE void tiles(const Ready<T>& p, const T* a, const T* w, int64_t steps, T factor,
                               T* counts) {
    int64_t i = 0;
    for (; i + 4 <= p.labels; i += 4)
      tile<4, V>(a + i, p.labels, w, p.row, steps, factor, counts + i * p.row);
    for (; i < p.labels; ++i)
      tile<1, V>(a + i, p.labels, w, p.row, steps, factor, counts + i * p.row);
  }

  static void count(const Ready<T>& p, const T* a, const T* w, int64_t steps, T factor, T* counts) {
    int64_t j = 0;
    for (; j + 2 * kLanes <= p.row; j += 2 * kLanes)
      tiles<2>(p, a, w + j, steps, factor, counts + j);
    if (j < p.row) tiles<1>(p, a, w + j, steps, factor, counts + j);
  }

  static void backward(const Ready<T>& p, const Sentence<T>& sentence, const T* alphas,
                       const T* scales, T factor, T* by_emissions, T* counts, T* scratch) {
    T *beta = scratch, *rows = beta + p.row;  // w of the steps that are not counted yet
    std::memcpy(beta, p.end, p.row * sizeof(T));
    int64_t waiting = 0;
    for (int64_t t = sentence.length - 1; t >= 0; --t) {
      const int64_t at = t * p.labels;
      if (waiting == 0) renormalise(p, alphas + at, beta);
      for (int64_t k = 0; k < p.row; k += kLanes) {
        const int64_t there = p.labels - k;
        write(by_emissions + at + k, factor * read(alphas + at + k, there) * L::read(beta + k), there);
      }
      if (t == 0) break;
      T* w = rows + waiting * p.row;
      step_back(p, sentence.at(t), scales[t], beta, w);
      multiply(p.moves_back, p.labels, p.row, w, beta);
      if (++waiting < kCounted && t > 1) continue;
      if (counts) count(p, alphas + (t + waiting - 2) * p.labels, rows, waiting, factor, counts);
      waiting = 0;
    }
  }

  // The first label with the largest v + added, and that sum.
  static MTL_INLINE int64_t first_best(const Ready<T>& p, const T* v, const T* added, T* sums,
                                       T& best) {
    A top = A{} - kInfinity;
    for (int64_t k = 0; k < p.row; k += kLanes) {
      const A sum = L::read(v + k) + L::read(added + k);
      L::write(sums + k, sum);
      top = larger(sum, top);
    }
    best = largest(top);
    for (int64_t k = 0; k < p.labels; ++k)
      if (sums[k] == best) return k;
    return 0;
  }

  static double viterbi(const Ready<T>& p, const Sentence<T>& sentence, int64_t* path, T* values,
                        T* scratch) {
    double score = 0;
    T subtracted = 0;
    for (int64_t t = 0; t < sentence.length; ++t) {
      T* v = values + t * p.row;
      if (t) reach(p.moves, p.labels, p.row, v - p.row, v);
      A top = A{} - kInfinity;
      for (int64_t k = 0; k < p.row; k += kLanes) {
        const A sum = (t ? L::read(v + k) : L::read(p.start + k)) +
                      (read(sentence.at(t) + k, p.labels - k) - subtracted);
        L::write(v + k, sum);
        top = larger(sum, top);
      }
      // The sum goes into a double, the numbers of a step stay small: a long text is as exact.
      score += subtracted;
      subtracted = largest(top);
      if (!std::isfinite(subtracted)) subtracted = 0;
    }
    T best;
    int64_t label = first_best(p, values + (sentence.length - 1) * p.row, p.end, scratch, best);
    score += best;
    for (int64_t t = sentence.length - 1; t >= 0; --t) {
      path[t] = label;
      if (t)
        label = first_best(p, values + (t - 1) * p.row, p.moves_back + label * p.row, scratch, best);
    }
    return score;
  }
};

template <class T>
CrfLoops<T> crf_loops() {
  using C = Crf<T>;
  return {C::prepare_sums, C::prepare_best, C::forward, C::lost, C::backward, C::viterbi};
}

template CrfLoops<float> crf_loops<float>();
template CrfLoops<double> crf_loops<double>();

#undef MTL_UNROLL

}  // namespace mtl::MTL_ISA
