// The CRF loops over steps and labels, for sums over paths; crf_best.h has the ones for best paths.
// Included once per instruction set, in the namespace MTL_ISA. ../README.md has the formulas and defines
// the names.

#include "crf_best.h"

namespace mtl::MTL_ISA {

template <class T>
struct CrfSums : CrfRows<T> {
  using typename CrfRows<T>::A;
  using typename CrfRows<T>::L;
  using CrfRows<T>::ahead;
  using CrfRows<T>::kInfinity;
  using CrfRows<T>::kLanes;
  using CrfRows<T>::exponential;
  using CrfRows<T>::larger;
  using CrfRows<T>::largest;
  using CrfRows<T>::multiply;
  using CrfRows<T>::pad;
  using CrfRows<T>::read;
  using CrfRows<T>::total;
  using CrfRows<T>::transpose;
  using CrfRows<T>::write;

  // x = e^(emission + added − m). Returns m, the largest of the sums.
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

  static void prepare(const Scores<T>& scores, Ready<T>& p) {
    pad(scores, p);
    p.spread = 0;
    for (int64_t k = 0; k < p.row; k += kLanes) {
      A top = A{} - kInfinity, bottom = A{} + kInfinity;
      for (int64_t i = 0; i < p.labels; ++i) {
        const A x = L::read(p.moves + i * p.row + k);
        top = larger(x, top);
        bottom = -larger(-x, -bottom);
      }
      L::write(p.column + k, top);
      const A subtracted = top == A{} - kInfinity ? A{} : top;  // a label without incoming transitions
      for (int64_t i = 0; i < p.labels; ++i) {
        T* move = p.moves + i * p.row + k;
        L::write(move, exponential(L::read(move) - subtracted));
      }
      p.spread = std::fmax(p.spread, largest(subtracted == top ? top - bottom : A{}));
    }
    transpose(p, 0);
    A top = A{} - kInfinity;
    T bottom = kInfinity;
    for (int64_t k = 0; k < p.row; k += kLanes) top = larger(L::read(p.end + k), top);
    for (int64_t k = 0; k < p.labels; ++k) bottom = p.end[k] < bottom ? p.end[k] : bottom;
    p.end_top = largest(top);
    p.spread = std::fmax(p.spread, p.end_top - bottom);
    for (int64_t k = 0; k < p.row; k += kLanes)
      L::write(p.end + k, exponential(L::read(p.end + k) - T(p.end_top)));
  }

  static void forward(const Ready<T>& p, Sums<T>* jobs, int64_t count, T* scratch) {
    T *x = scratch, *u = x + p.row;
    ahead(jobs, count, [&](Sums<T>& job, int64_t t) __attribute__((always_inline)) {
      T* a = job.alphas + t * p.labels;
      job.log_sum += emit(p, job.sentence.at(t), t ? p.column : p.start, x);
      if (t) multiply(p.moves, p.labels, p.row, a - p.labels, u);
      A sum{};
      for (int64_t k = 0; k < p.row; k += kLanes) {
        const A y = t ? L::read(u + k) * L::read(x + k) : L::read(x + k);
        L::write(u + k, y);
        sum += y;
      }
      const T scale = total(sum);
      const T inverse = 1 / scale;
      for (int64_t k = 0; k < p.row; k += kLanes)
        write(a + k, L::read(u + k) * inverse, p.labels - k);
      job.scales[t] = scale;
      // Logarithms are slow: take one of the product, just before it leaves the range of a double.
      job.product *= scale;
      if (!(job.product > 1e-200 && job.product < 1e200))
        job.log_sum += std::log(job.product), job.product = 1;
    });
    for (Sums<T>* job = jobs; job < jobs + count; ++job) {
      if (job->sentence.length == 0) continue;
      const T* a = job->alphas + (job->sentence.length - 1) * p.labels;
      A sum{};
      for (int64_t k = 0; k < p.row; k += kLanes)
        sum += read(a + k, p.labels - k) * L::read(p.end + k);
      job->log_sum += p.end_top + std::log(job->product * total(sum));
    }
  }

  // Normalises to Σ_j a_j·β_j = 1, which holds at every step up to rounding.
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

  static double lost(const Ready<T>& p, const Sums<T>& job, T* scratch) {
    T *beta = scratch, *w = beta + p.row;
    std::memcpy(beta, p.end, p.row * sizeof(T));
    renormalise(p, job.alphas + (job.sentence.length - 1) * p.labels, beta);
    double all = 0;
    for (int64_t t = job.sentence.length - 1; t >= 0; --t) {
      double here = 0;
      for (int64_t k = 0; k < p.labels; ++k) here += beta[k];
      all += here * std::fmax(1.0, 1.0 / job.scales[t]);
      if (t == 0) break;
      step_back(p, job.sentence.at(t), job.scales[t], beta, w);
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
    T *beta = scratch, *rows = beta + p.row;  // w of the steps not counted yet
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
};

template <class T>
CrfLoops<T> crf_loops() {
  using Sum = CrfSums<T>;
  using Best = CrfBest<T>;
  return {Sum::prepare, Best::prepare, Sum::forward, Sum::lost, Sum::backward, Best::viterbi};
}

template CrfLoops<float> crf_loops<float>();
#ifdef TORCH_TARGET_VERSION
template CrfLoops<double> crf_loops<double>();
#endif

#undef MTL_UNROLL

}  // namespace mtl::MTL_ISA
