// Vectors of one instruction set, MTL_BYTES wide, and how they are read from memory and written to it.
// Included once an instruction set, MTL_ISA being its namespace.

namespace mtl::MTL_ISA {

template <class E, int kLanes>
struct Vector {
  typedef E type __attribute__((vector_size(kLanes * sizeof(E))));
};

// The arithmetic for numbers stored as T: in float, but for double.
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
    } else if constexpr (std::is_same_v<T, c10::BFloat16>) {
      Halves x;  // the upper half of a float
      std::memcpy(&x, from, sizeof x);
      return bits<A>(__builtin_convertvector(x, Unsigned) << 16);
    } else {
      A x;
      for (int k = 0; k < kCount; ++k) x[k] = float(from[k]);
      return x;
    }
  }

  static MTL_INLINE void write(T* to, A x) {
    if constexpr (std::is_same_v<T, Scalar>) {
      std::memcpy(to, &x, sizeof x);
    } else if constexpr (std::is_same_v<T, c10::BFloat16>) {
      const Unsigned full = bits<Unsigned>(x);
      const Unsigned rounded = full + 0x7fffu + (full >> 16 & 1u);  // half way: to the even one
      const Unsigned nan = Unsigned{} + 0x7fc00000u;
      const Unsigned upper = (x != x ? nan : rounded) >> 16;
      const Halves halves = __builtin_convertvector(upper, Halves);
      std::memcpy(to, &halves, sizeof halves);
    } else {
      for (int k = 0; k < kCount; ++k) to[k] = T(x[k]);
    }
  }

  // Which lanes have a byte that is not zero.
  static MTL_INLINE auto read_mask(const bool* from) {
    Bytes x;
    std::memcpy(&x, from, sizeof x);
    return __builtin_convertvector(x, Unsigned) != 0;
  }
};

}  // namespace mtl::MTL_ISA

namespace mtl {

#if MTL_BYTES == 64
// GCC makes two instructions of each comparison. A NaN that is the second operand stays.
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
