// The maths of pooling: one step, shared by CPU and CUDA.
//
// A is the type of the arithmetic: float, double, or on the CPU a vector of either (with GCC and Clang,
// the same operators work on vectors, lane by lane). G is the number of gates and selects the pooling:
// 2 f, 3 fo, 4 ifo. README.md has the formulas and defines the names.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "inline.h"

namespace mtl {

// 2^(scale·x) with a relative error of 1e-7, for |scale·x| < 126. F holds floats, U as many unsigned
// 32-bit integers. scale·x = n + r with an integer n; 2^r is a polynomial, 2^n is built from its bits.
template <class F, class U>
static MTL_INLINE F power_of_two(F x, float scale) {
  // Adding 1.5 · 2^23 removes the fraction: the low bits of the sum are n. 127 is the bias of stored
  // exponents.
  const float shift = 12582912.0f + 127.0f;
  const F shifted = x * scale + shift;
  const F r = x * scale - (shifted - shift);
  F p = r * 0.0013276227f + 0.00967576967f;  // minimax fit on |r| <= 1/2
  p = p * r + 0.0555071575f;
  p = p * r + 0.240221155f;
  p = p * r + 0.693146964f;
  p = p * r + 1.0f;
  U bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = bits << 23;
  F power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

// x clamped to ±limit. Comparisons with NaN are false, so NaN stays NaN.
template <class A>
static MTL_INLINE A within(A x, float limit) {
  const A low = A{} - limit, high = A{} + limit;
  x = x < low ? low : x;
  return x > high ? high : x;
}

// Functions of A; lanes.h has the versions for vectors.
template <class A>
struct Maths;

template <class A>
static MTL_INLINE A inverse(A x) {
  return 1.0f / x;
}

#ifdef __CUDA_ARCH__
// One instruction each, with a relative error of 2e-7; correct for infinity and 0.
template <>
MTL_INLINE float inverse(float x) {
  asm("rcp.approx.ftz.f32 %0, %0;" : "+f"(x));
  return x;
}

template <>
struct Maths<float> {
  static MTL_INLINE float exponential(float x, float factor) {
    x *= factor * 1.44269504f;
    asm("ex2.approx.ftz.f32 %0, %0;" : "+f"(x));
    return x;
  }
};
#else

template <>
struct Maths<float> {
  // e^(factor·x), factor −1 or 2, with x clamped to ±43. Beyond that, sigmoid and tanh are constant in
  // float precision. The clamp avoids infinity and denormal numbers.
  static MTL_INLINE float exponential(float x, float factor) {
    return power_of_two<float, uint32_t>(within(x, 43.0f), factor * 1.44269504f);
  }
};
#endif

template <>
struct Maths<double> {
  static MTL_INLINE double exponential(double x, double factor) { return std::exp(factor * x); }
};

template <class A>
static MTL_INLINE A sigmoid(A x) {
  return inverse(1.0f + Maths<A>::exponential(x, -1.0f));
}

template <class A>
static MTL_INLINE A hyperbolic_tangent(A x) {
  return 1.0f - 2.0f * inverse(1.0f + Maths<A>::exponential(x, 2.0f));
}

// The gates of one step: before or after their activations, or the gradients with respect to them.
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

// The state after a step. Where `keep` (zoneout) is true, the state does not change.
template <class A, class Mask>
static MTL_INLINE A next_state(Gates<A> g, A before, Mask keep) {
  const A c = g.f * before + g.i * g.z;
  return keep ? before : c;
}

// The backward pass of a step. by_h is the gradient with respect to h. On entry, `carry` is the gradient
// with respect to c from later steps; on return, the one with respect to the previous state. Returns the
// gradients with respect to the raw gates.
template <int G, class A, class Mask>
static MTL_INLINE Gates<A> step_back(Gates<A> g, A before, A by_h, Mask keep, A& carry) {
  const A c = next_state(g, before, keep);
  const A by_c = carry + by_h * g.o;
  const A through = keep ? A{} : by_c;  // the gradient that reaches the gates
  Gates<A> by;
  by.z = through * g.i * (1.0f - g.z * g.z);
  by.f = through * (G == 4 ? before : before - g.z) * g.f * (1.0f - g.f);
  if (G >= 3) by.o = by_h * c * g.o * (1.0f - g.o);
  if (G == 4) by.i = through * g.z * g.i * (1.0f - g.i);
  carry = keep ? by_c : by_c * g.f;
  return by;
}

}  // namespace mtl
