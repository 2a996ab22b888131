// The CRF loops for the best path. Included once per instruction set, in the namespace MTL_ISA.

#include "crf_rows.h"

namespace mtl::MTL_ISA {

template <class T>
struct CrfBest : CrfRows<T> {
  using typename CrfRows<T>::A;
  using typename CrfRows<T>::L;
  using CrfRows<T>::ahead;
  using CrfRows<T>::kInfinity;
  using CrfRows<T>::kLanes;
  using CrfRows<T>::larger;
  using CrfRows<T>::largest;
  using CrfRows<T>::pad;
  using CrfRows<T>::read;
  using CrfRows<T>::transpose;
  using CrfRows<T>::which;

  static void prepare(const Scores<T>& scores, Ready<T>& p) {
    pad(scores, p);
    transpose(p, -kInfinity);
    A all = A{} - kInfinity;
    for (int64_t k = 0; k < p.row; k += kLanes) {
      A top = A{} - kInfinity, bottom = A{} + kInfinity;
      for (int64_t j = 0; j < p.labels; ++j) {
        const A x = L::read(p.moves_back + j * p.row + k);
        top = larger(x, top);
        bottom = -larger(-x, -bottom);
      }
      L::write(p.most + k, top);
      L::write(p.least + k, bottom);
      all = larger(bottom, all);
    }
    p.selects = p.labels > 32 && largest(all) > -kInfinity;
  }

  // best_j = max_i (v_i + m_ij) over the labels i in `from`, for V vectors of j.
  template <int V, int U>
  static MTL_INLINE void best_columns(const T* m, int64_t row, const int32_t* from, int64_t count,
                                      const T* v, T* best) {
    A top[U][V];
    MTL_UNROLL
    for (int u = 0; u < U; ++u)
      MTL_UNROLL
      for (int k = 0; k < V; ++k) top[u][k] = A{} - kInfinity;
    const auto take = [&](int64_t i, int u) __attribute__((always_inline)) {
      MTL_UNROLL
      for (int k = 0; k < V; ++k)
        top[u][k] = larger(v[i] + L::read(m + i * row + k * kLanes), top[u][k]);
    };
    int64_t n = 0;
    for (; n + U <= count; n += U)
      MTL_UNROLL
      for (int u = 0; u < U; ++u) take(from[n + u], u);
    for (; n < count; ++n) take(from[n], 0);
    MTL_UNROLL
    for (int k = 0; k < V; ++k) {
      MTL_UNROLL
      for (int u = 1; u < U; ++u) top[0][k] = larger(top[u][k], top[0][k]);
      L::write(best + k * kLanes, top[0][k]);
    }
  }

  static MTL_INLINE void reach(const T* m, int64_t row, const int32_t* from, int64_t count,
                               const T* v, T* best) {
    int64_t j = 0;
    for (; j + 4 * kLanes <= row; j += 4 * kLanes)
      best_columns<4, 2>(m + j, row, from, count, v, best + j);
    for (; j + 2 * kLanes <= row; j += 2 * kLanes)
      best_columns<2, 2>(m + j, row, from, count, v, best + j);
    if (j < row) best_columns<1, 4>(m + j, row, from, count, v, best + j);
  }

  // The first label with the largest v + added, and its sum.
  static MTL_INLINE int64_t first_best(const Ready<T>& p, const T* v, const T* added, T& best) {
    A top = A{} - kInfinity;
    for (int64_t k = 0; k < p.row; k += kLanes)
      top = larger(L::read(v + k) + L::read(added + k), top);
    best = largest(top);
    int64_t first = 0;
    for (int64_t k = p.row - kLanes; k >= 0; k -= kLanes) {
      const uint32_t here = which(L::read(v + k) + L::read(added + k) == A{} + best);
      first = here ? k + __builtin_ctz(here) : first;
    }
    return first < p.labels ? first : 0;  // if all scores are NaN, only padding is found
  }

  // Collects the possible predecessors on a best path, in order, and returns their number. A label is
  // excluded if its best move is worse than the worst move of another one; often few remain.
  static MTL_INLINE int64_t select(const Ready<T>& p, const T* v, int32_t* from) {
    A top = A{} + std::numeric_limits<T>::lowest();
    for (int64_t k = 0; k < p.row; k += kLanes)
      top = larger(L::read(v + k) + L::read(p.least + k), top);
    const T enough = largest(top);
    int64_t count = 0;
    for (int64_t k = 0; k < p.row; k += kLanes) {
      uint32_t left = which(L::read(v + k) + L::read(p.most + k) >= A{} + enough);
      for (; left; left &= left - 1) from[count++] = int32_t(k) + __builtin_ctz(left);
    }
    return count;
  }

  static void viterbi(const Ready<T>& p, Best<T>* jobs, int64_t count, int32_t* from) {
    for (int64_t i = 0; i < p.labels; ++i) from[i] = int32_t(i);
    ahead(jobs, count, [&](Best<T>& job, int64_t t) __attribute__((always_inline)) {
      T* v = job.values + t * p.row;
      if (t) {
        const T* before = v - p.row;
        const int64_t some = p.selects ? select(p, before, from) : p.labels;
        reach(p.moves, p.row, from, some, before, v);
      }
      A top = A{} - kInfinity;
      for (int64_t k = 0; k < p.row; k += kLanes) {
        const A sum = (t ? L::read(v + k) : L::read(p.start + k)) +
                      (read(job.sentence.at(t) + k, p.labels - k) - job.subtracted);
        L::write(v + k, sum);
        top = larger(sum, top);
      }
      // The sum is a double and the numbers of a step stay small, so long sentences stay accurate.
      job.score += job.subtracted;
      const T most = largest(top);
      job.subtracted = std::isfinite(most) ? most : T(0);
    });
    ahead(jobs, count, [&](Best<T>& job, int64_t done) __attribute__((always_inline)) {
      const int64_t t = job.sentence.length - 1 - done;
      const T* added = done ? p.moves_back + job.path[t + 1] * p.row : p.end;
      T best;
      job.path[t] = first_best(p, job.values + t * p.row, added, best);
      if (!done) job.score += best;
    });
  }
};

}  // namespace mtl::MTL_ISA
