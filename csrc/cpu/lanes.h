// Vectors of one instruction set, MTL_BYTES wide, with loads and stores. Included once per instruction
// set, in the namespace MTL_ISA.

// For short loops of constant length over sums that should stay in registers.
#define MTL_UNROLL _Pragma("GCC unroll 64")

namespace mtl::MTL_ISA {

template <class E, int kLanes>
struct Vector {
  typedef E type __attribute__((vector_size(kLanes * sizeof(E))));
};

// The arithmetic type for numbers stored as T: double for double, otherwise float.
template <class T>
struct Lanes {
  using Scalar = std::conditional_t<std::is_same_v<T, double>, double, float>;
  static constexpr int kCount = MTL_BYTES / sizeof(Scalar);
  using A = typename Vector<Scalar, kCount>::type;
  using Unsigned = typename Vector<std::conditional_t<sizeof(Scalar) == 8, uint64_t, uint32_t>,
                                   kCount>::type;
  using Bytes = typename Vector<uint8_t, kCount>::type;
  using Halves = typename Vector<uint16_t, kCount>::type;

  template <class To, class From>
  static MTL_INLINE To bits(From x) {
    static_assert(sizeof(To) == sizeof(From));
    To y;
    std::memcpy(&y, &x, sizeof y);
    return y;
  }

  static MTL_INLINE A read(const T* from) {
    if constexpr (std::is_same_v<T, Scalar>) {
      A x;
      std::memcpy(&x, from, sizeof x);
      return x;
    } else {
      Halves x;
      std::memcpy(&x, from, sizeof x);
      const Unsigned wide = __builtin_convertvector(x, Unsigned);
      return std::is_same_v<T, BFloat16> ? bits<A>(wide << 16) : from_half(wide);
    }
  }

  static MTL_INLINE void write(T* to, A x) {
    if constexpr (std::is_same_v<T, Scalar>) {
      std::memcpy(to, &x, sizeof x);
    } else {
      const Unsigned wide = std::is_same_v<T, BFloat16> ? to_bfloat16(x) : to_half(x);
      const Halves halves = __builtin_convertvector(wide, Halves);
      std::memcpy(to, &halves, sizeof halves);
    }
  }

  // bfloat16 is the upper half of a float. Ties round to even.
  static MTL_INLINE Unsigned to_bfloat16(A x) {
    const Unsigned full = bits<Unsigned>(x);
    const Unsigned rounded = full + 0x7fffu + (full >> 16 & 1u);
    return (x != x ? Unsigned{} + 0x7fc00000u : rounded) >> 16;
  }

  // A vector with only its first numbers in memory; the others are read as zero.
  static MTL_INLINE A read(const T* from, int64_t there) {
    if (there >= kCount) return read(from);
#if MTL_BYTES == 64
    if constexpr (std::is_same_v<T, float>) return _mm512_maskz_loadu_ps((1 << there) - 1, from);
    if constexpr (std::is_same_v<T, double>) return _mm512_maskz_loadu_pd((1 << there) - 1, from);
#endif
    T padded[kCount] = {};
    for (int64_t k = 0; k < there; ++k) padded[k] = from[k];
    return read(padded);
  }

  static MTL_INLINE void write(T* to, A x, int64_t there) {
    if (there >= kCount) return write(to, x);
#if MTL_BYTES == 64
    if constexpr (std::is_same_v<T, float>) return _mm512_mask_storeu_ps(to, (1 << there) - 1, x);
    if constexpr (std::is_same_v<T, double>) return _mm512_mask_storeu_pd(to, (1 << there) - 1, x);
#endif
    T padded[kCount];
    write(padded, x);
    for (int64_t k = 0; k < there; ++k) to[k] = padded[k];
  }

  // float16 has 5 exponent bits and 10 fraction bits; float has 8 and 23.
  static MTL_INLINE A from_half(Unsigned x) {
    const Unsigned size = x & 0x7fffu;
    const Unsigned finite = bits<Unsigned>(bits<A>(size << 13) * 0x1p112f);  // adjusts the exponent bias
    return bits<A>((size < 0x7c00u ? finite : finite | 0x7f800000u) | (x & 0x8000u) << 16);
  }

  static MTL_INLINE Unsigned to_half(A x) {
    A size = bits<A>(bits<Unsigned>(x) & 0x7fffffffu);
    size = size > 131072.0f ? A{} + 131072.0f : size;  // infinite in float16
    Unsigned power = bits<Unsigned>(size) & 0x7f800000u;  // 2^e <= size, but at least 2^-14
    power = power < 0x38800000u ? Unsigned{} + 0x38800000u : power;
    const Unsigned large = power + (13u << 23);  // adding 2^(e + 13) rounds to multiples of 2^(e - 10)
    const Unsigned fraction = bits<Unsigned>(size + bits<A>(large)) - large;
    Unsigned half = (((power >> 23) - 113u) << 10) + fraction;
    half = half > 0x7c00u ? Unsigned{} + 0x7c00u : half;
    half = x != x ? Unsigned{} + 0x7e00u : half;
    return half | (bits<Unsigned>(x) >> 16 & 0x8000u);
  }

  // A mask of the lanes with a non-zero byte.
  static MTL_INLINE auto read_mask(const bool* from) {
    Bytes x;
    std::memcpy(&x, from, sizeof x);
    return __builtin_convertvector(x, Unsigned) != 0;
  }
};

}  // namespace mtl::MTL_ISA

namespace mtl {

#if MTL_BYTES == 64
// GCC compiles each comparison into two instructions. A NaN as the second operand is kept.
template <>
MTL_INLINE __m512 within(__m512 x, float limit) {
  const __m512 low = _mm512_set1_ps(-limit), high = _mm512_set1_ps(limit);
  return _mm512_maskz_min_ps(-1, high, _mm512_maskz_max_ps(-1, low, x));
}
#endif

template <>
struct Maths<MTL_ISA::Lanes<float>::A> {
  using A = MTL_ISA::Lanes<float>::A;

  static MTL_INLINE A exponential(A x, float factor) {
    return power_of_two<A, MTL_ISA::Lanes<float>::Unsigned>(within(x, 43.0f), factor * 1.44269504f);
  }
};

template <>
struct Maths<MTL_ISA::Lanes<double>::A> {
  using A = MTL_ISA::Lanes<double>::A;

  static MTL_INLINE A exponential(A x, double factor) {
    for (int k = 0; k < MTL_ISA::Lanes<double>::kCount; ++k) x[k] = std::exp(factor * x[k]);
    return x;
  }
};

}  // namespace mtl
