// Rows of labels: in memory, reduced to one number, and multiplied by a matrix; and the interleaving of
// sentences. Included once per instruction set, in the namespace MTL_ISA.

#include "../pool_step.h"
#include "lanes.h"

namespace mtl::MTL_ISA {

template <class T>
struct CrfRows {
  using L = Lanes<T>;
  using A = typename L::A;
  static constexpr int64_t kLanes = L::kCount;
  static constexpr T kInfinity = std::numeric_limits<T>::infinity();

  static MTL_INLINE A larger(A x, A y) { return x > y ? x : y; }

  static MTL_INLINE A read(const T* from, int64_t there) { return L::read(from, there); }
  static MTL_INLINE void write(T* to, A x, int64_t there) { L::write(to, x, there); }

  // e^x for x <= 0.
  static MTL_INLINE A exponential(A x) {
    if constexpr (std::is_same_v<T, double>) {
      for (int64_t k = 0; k < kLanes; ++k) x[k] = std::exp(x[k]);
      return x;
    } else {
      const A low = A{} - 87.0f;  // below this, numbers lose precision
      const A y = power_of_two<A, typename L::Unsigned>(x < low ? low : x, 1.44269504f);
      return x < low ? A{} : y;
    }
  }

  // Reduces all lanes to one by repeated halving.
  template <int kWidth = kLanes, class Combine>
  static MTL_INLINE T across(typename Vector<T, kWidth>::type x, const Combine& combine) {
    if constexpr (kWidth == 1) {
      return x[0];
    } else {
      typename Vector<T, kWidth / 2>::type halves[2];
      std::memcpy(halves, &x, sizeof x);
      return across<kWidth / 2>(combine(halves[0], halves[1]), combine);
    }
  }

  static MTL_INLINE T largest(A x) {
    return across(x, [](auto one, auto other) { return one > other ? one : other; });
  }

  static MTL_INLINE T total(A x) {
    return across(x, [](auto one, auto other) { return one + other; });
  }

  // A bit mask of the lanes where the condition is true.
  template <class Held>
  static MTL_INLINE uint32_t which(Held held) {
#if MTL_BYTES == 64
    if constexpr (std::is_same_v<T, float>) return _mm512_movepi32_mask((__m512i)held);
    if constexpr (std::is_same_v<T, double>) return _mm512_movepi64_mask((__m512i)held);
#elif MTL_BYTES == 32
    if constexpr (std::is_same_v<T, float>) return _mm256_movemask_ps((__m256)held);
    if constexpr (std::is_same_v<T, double>) return _mm256_movemask_pd((__m256d)held);
#elif defined(__x86_64__)
    if constexpr (std::is_same_v<T, float>) return _mm_movemask_ps((__m128)held);
    if constexpr (std::is_same_v<T, double>) return _mm_movemask_pd((__m128d)held);
#endif
    uint32_t found = 0;
    for (int64_t k = 0; k < kLanes; ++k) found |= uint32_t(held[k] & 1) << k;
    return found;
  }

  // y_j = Σ_i a_i·m_ij for V vectors of j. Several sums run at once, since each step of a sum waits for
  // the previous one.
  template <int V, int U>
  static MTL_INLINE void columns(const T* m, int64_t count, int64_t row, const T* a, T* y) {
    A sum[U][V] = {};
    const auto add = [&](int64_t i, int u) __attribute__((always_inline)) {
      MTL_UNROLL
      for (int v = 0; v < V; ++v) sum[u][v] += a[i] * L::read(m + i * row + v * kLanes);
    };
    int64_t i = 0;
    for (; i + U <= count; i += U)
      MTL_UNROLL
      for (int u = 0; u < U; ++u) add(i + u, u);
    for (; i < count; ++i) add(i, 0);
    MTL_UNROLL
    for (int v = 0; v < V; ++v) {
      MTL_UNROLL
      for (int u = 1; u < U; ++u) sum[0][v] += sum[u][v];
      L::write(y + v * kLanes, sum[0][v]);
    }
  }

  static MTL_INLINE void multiply(const T* m, int64_t count, int64_t row, const T* a, T* y) {
    int64_t j = 0;
    for (; j + 4 * kLanes <= row; j += 4 * kLanes) columns<4, 2>(m + j, count, row, a, y + j);
    for (; j + 2 * kLanes <= row; j += 2 * kLanes) columns<2, 4>(m + j, count, row, a, y + j);
    if (j < row) columns<1, 4>(m + j, count, row, a, y + j);
  }

  // Writes the moves indexed by target label, with padded rows.
  static void transpose(Ready<T>& p, T filler) {
    for (int64_t j = 0; j < p.labels; ++j)
      for (int64_t i = 0; i < p.row; ++i)
        p.moves_back[j * p.row + i] = i < p.labels ? p.moves[i * p.row + j] : filler;
  }

  // Copies `count` rows and pads them with −∞.
  static void pad(const T* from, int64_t count, const Ready<T>& p, T* to) {
    for (int64_t i = 0; i < count; ++i, from += p.labels, to += p.row) {
      std::memcpy(to, from, p.labels * sizeof(T));
      for (int64_t k = p.labels; k < p.row; ++k) to[k] = -kInfinity;
    }
  }

  static void pad(const Scores<T>& scores, Ready<T>& p) {
    pad(scores.start, 1, p, p.start);
    pad(scores.end, 1, p, p.end);
    pad(scores.transitions, p.labels, p, p.moves);
  }

  // Calls step(job, t) for every token of some sentences.
  template <class Job, class Step>
  static MTL_INLINE void ahead(Job* jobs, int64_t count, const Step& step) {
    int64_t left = count;
    for (int64_t t = 0; left; ++t) {
      left = 0;
      for (Job* job = jobs; job < jobs + count; ++job)
        if (t < job->sentence.length) step(*job, t), ++left;
    }
  }
};

}  // namespace mtl::MTL_ISA
