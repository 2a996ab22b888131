// Rows of labels: reading, writing, and a row times a matrix, in sums and in maxima. Included once an
// instruction set, MTL_ISA being its namespace.

#include "../pool_step.h"
#include "lanes.h"

// For loops of a few rounds that are known, over sums that are to stay in registers.
#define MTL_UNROLL _Pragma("GCC unroll 64")

namespace mtl::MTL_ISA {

template <class T>
struct CrfRows {
  using L = Lanes<T>;
  using A = typename L::A;
  static constexpr int64_t kLanes = L::kCount;
  static constexpr T kInfinity = std::numeric_limits<T>::infinity();

  static MTL_INLINE A larger(A x, A y) { return x > y ? x : y; }

  // A vector of which only the first numbers are in memory; the others are read as zero.
  static MTL_INLINE A read(const T* from, int64_t there) {
    if (there >= kLanes) return L::read(from);
#if MTL_BYTES == 64
    if constexpr (std::is_same_v<T, float>) return _mm512_maskz_loadu_ps((1 << there) - 1, from);
    if constexpr (std::is_same_v<T, double>) return _mm512_maskz_loadu_pd((1 << there) - 1, from);
#endif
    T padded[kLanes] = {};
    std::memcpy(padded, from, there * sizeof(T));
    return L::read(padded);
  }

  static MTL_INLINE void write(T* to, A x, int64_t there) {
    if (there >= kLanes) return L::write(to, x);
#if MTL_BYTES == 64
    if constexpr (std::is_same_v<T, float>) return _mm512_mask_storeu_ps(to, (1 << there) - 1, x);
    if constexpr (std::is_same_v<T, double>) return _mm512_mask_storeu_pd(to, (1 << there) - 1, x);
#endif
    std::memcpy(to, &x, there * sizeof(T));
  }

  // e^x for x <= 0.
  static MTL_INLINE A exponential(A x) {
    if constexpr (std::is_same_v<T, double>) {
      for (int64_t k = 0; k < kLanes; ++k) x[k] = std::exp(x[k]);
      return x;
    } else {
      const A low = A{} - 87.0f;  // below it numbers lose their precision
      const A y = power_of_two<A, typename L::Unsigned>(x < low ? low : x, 1.44269504f);
      return x < low ? A{} : y;
    }
  }

  // All lanes combined to one.
  template <class Combine>
  static MTL_INLINE T across(A x, const Combine& combine) {
    T lanes[kLanes];
    L::write(lanes, x);
    MTL_UNROLL
    for (int64_t width = kLanes / 2; width; width /= 2)
      MTL_UNROLL
      for (int64_t k = 0; k < width; ++k) lanes[k] = combine(lanes[k], lanes[k + width]);
    return lanes[0];
  }

  static MTL_INLINE T largest(A x) {
    return across(x, [](T one, T other) { return one > other ? one : other; });
  }

  static MTL_INLINE T total(A x) {
    return across(x, [](T one, T other) { return one + other; });
  }

  // y_j = Σ_i a_i·m_ij for V vectors of j. Several sums at once, since each waits for itself.
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

  // best_j = max_i (v_i + m_ij) for V vectors of j.
  template <int V, int U>
  static MTL_INLINE void best_columns(const T* m, int64_t count, int64_t row, const T* v, T* best) {
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
    int64_t i = 0;
    for (; i + U <= count; i += U)
      MTL_UNROLL
      for (int u = 0; u < U; ++u) take(i + u, u);
    for (; i < count; ++i) take(i, 0);
    MTL_UNROLL
    for (int k = 0; k < V; ++k) {
      MTL_UNROLL
      for (int u = 1; u < U; ++u) top[0][k] = larger(top[u][k], top[0][k]);
      L::write(best + k * kLanes, top[0][k]);
    }
  }

  static MTL_INLINE void reach(const T* m, int64_t count, int64_t row, const T* v, T* best) {
    int64_t j = 0;
    for (; j + 2 * kLanes <= row; j += 2 * kLanes) best_columns<2, 2>(m + j, count, row, v, best + j);
    if (j < row) best_columns<1, 4>(m + j, count, row, v, best + j);
  }
};

}  // namespace mtl::MTL_ISA
