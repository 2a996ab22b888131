// The maths of pooling: one step, for CPU and CUDA alike.
//
// A is what the arithmetic is done in: float, double, or on the CPU a vector of either (GCC and Clang
// let the same operators work on vectors, lane by lane). G is the number of gates and says which
// pooling it is: 2 f, 3 fo, 4 ifo. Formulas and names are those of README.md.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define MTL_INLINE __host__ __device__ __forceinline__
#else
// Never a function of its own: each instruction set needs its own code, and linkers keep but one.
#define MTL_INLINE inline __attribute__((always_inline))
#endif

namespace mtl {

// e^x for |x| <= 87, held there beyond: no infinity, no denormal number. Relative error 1e-7.
// x = n·ln 2 + r with a whole number n; e^r by a polynomial, 2^n by its bits. F holds floats, U as
// many unsigned integers of 32 bits.
template <class F, class U>
static MTL_INLINE F exponential(F x) {
  const F low = F{} - 87.0f, high = F{} + 87.0f;
  x = x < low ? low : x;  // a comparison with NaN is false, so that NaN stays NaN
  x = x > high ? high : x;
  const float shift = 12582912.0f;  // 1.5 · 2^23: a sum with it has no room for a fraction
  const F shifted = x * 1.44269504f + shift;
  const F n = shifted - shift;
  const F r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  F p = r * 0.001381422f + 0.00836889887f;  // minimax fit of (e^r − 1 − r) / r², |r| <= ln 2 / 2
  p = p * r + 0.0416684058f;
  p = p * r + 0.166665191f;
  p = p * r + 0.499999933f;
  p = p * (r * r) + (r + 1.0f);
  U bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3f800000u;  // the low bits of the sum are n
  F power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

template <class A>
struct Exponential;  // of A; those of vectors stand with the loops

template <>
struct Exponential<float> {
  static MTL_INLINE float of(float x) { return exponential<float, uint32_t>(x); }
};

template <>
struct Exponential<double> {
  static MTL_INLINE double of(double x) { return std::exp(x); }
};

template <class A>
static MTL_INLINE A sigmoid(A x) {
  return 1.0f / (1.0f + Exponential<A>::of(-x));
}

template <class A>
static MTL_INLINE A hyperbolic_tangent(A x) {
  return 1.0f - 2.0f / (1.0f + Exponential<A>::of(x + x));
}

// The gates of one step: before or after their activations, or the gradients by them.
template <class A>
struct Gates {
  A z{}, f{}, o{}, i{};
};

template <int G, class A>
static MTL_INLINE Gates<A> activate(Gates<A> raw) {
  Gates<A> g;
  g.z = hyperbolic_tangent(raw.z);
  g.f = sigmoid(raw.f);
  g.o = G >= 3 ? sigmoid(raw.o) : A{} + 1.0f;
  g.i = G == 4 ? sigmoid(raw.i) : 1.0f - g.f;
  return g;
}

// The state after a step. Where `keep` (the zoneout) is true, the state stays as it was.
template <class A, class Mask>
static MTL_INLINE A next_state(Gates<A> g, A before, Mask keep) {
  const A c = g.f * before + g.i * g.z;
  return keep ? before : c;
}

// Back through a step. Takes the gradient by h, and in `carry` the one by c from the steps after,
// which it replaces by the gradient by the state before. Returns the gradients by the raw gates.
template <int G, class A, class Mask>
static MTL_INLINE Gates<A> step_back(Gates<A> g, A before, A by_h, Mask keep, A& carry) {
  const A c = next_state(g, before, keep);
  const A by_c = carry + by_h * g.o;
  const A through = keep ? A{} : by_c;  // what reaches the gates
  Gates<A> by;
  by.z = through * g.i * (1.0f - g.z * g.z);
  by.f = through * (G == 4 ? before : before - g.z) * g.f * (1.0f - g.f);
  if (G >= 3) by.o = by_h * c * g.o * (1.0f - g.o);
  if (G == 4) by.i = through * g.z * g.i * (1.0f - g.i);
  carry = keep ? by_c : by_c * g.f;
  return by;
}

}  // namespace mtl
