// The maths of pooling: one step of one channel, for CPU and CUDA alike.
//
// Plain scalar code without branches, so that a compiler turns a loop over channels into vector
// instructions. A is the type of the arithmetic, float or double; G is the number of gates and says
// which pooling it is: 2 f, 3 fo, 4 ifo. Formulas and names are those of README.md.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define MTL_INLINE static __host__ __device__ __forceinline__
#else
// Never a function of its own: each instruction set needs its own code, and linkers keep but one.
#define MTL_INLINE static inline __attribute__((always_inline))
#endif

namespace mtl {

// e^x for |x| <= 87, held there beyond: no infinity, no denormal number. Relative error 1e-7.
// x = n·ln 2 + r with a whole number n; e^r by a polynomial, 2^n by its bits.
MTL_INLINE float exponential(float x) {
  // A comparison with NaN is false, so that NaN stays NaN.
  x = x < -87.0f ? -87.0f : x;
  x = x > 87.0f ? 87.0f : x;
  const float shift = 12582912.0f;  // 1.5 · 2^23: a sum with it has no room for a fraction
  const float shifted = x * 1.44269504f + shift;
  const float n = shifted - shift;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  float p = 0.001381422f;  // minimax fit of (e^r − 1 − r) / r² on |r| <= ln 2 / 2
  p = p * r + 0.00836889887f;
  p = p * r + 0.0416684058f;
  p = p * r + 0.166665191f;
  p = p * r + 0.499999933f;
  p = p * (r * r) + r + 1.0f;
  uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3f800000u;  // the low bits of the sum are n
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

MTL_INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }
MTL_INLINE float hyperbolic(float x) { return 1.0f - 2.0f / (1.0f + exponential(2.0f * x)); }

MTL_INLINE double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
MTL_INLINE double hyperbolic(double x) { return std::tanh(x); }

// The gates of one step: before or after their activations, or the gradients by them.
template <class A>
struct Gates {
  A z, f, o, i;
};

template <int G, class A>
MTL_INLINE Gates<A> activate(Gates<A> raw) {
  Gates<A> g{hyperbolic(raw.z), sigmoid(raw.f), A(1), A(0)};
  if (G >= 3) g.o = sigmoid(raw.o);
  g.i = G == 4 ? sigmoid(raw.i) : A(1) - g.f;
  return g;
}

// The state after a step. `keep` is the zoneout: the state stays as it was.
template <class A>
MTL_INLINE A next_state(Gates<A> g, A before, bool keep) {
  const A c = g.f * before + g.i * g.z;
  return keep ? before : c;
}

// Back through a step. Takes the gradient by h, and by c from the steps after in `carry`, which it
// replaces by the gradient by the state before. Returns the gradients by the raw gates.
template <int G, class A>
MTL_INLINE Gates<A> step_back(Gates<A> g, A before, A by_h, bool keep, A& carry) {
  const A one = A(1);
  const A c = next_state(g, before, keep);
  const A by_c = carry + by_h * g.o;
  const A through = keep ? A(0) : by_c;  // what reaches the gates
  Gates<A> by{};
  by.z = through * g.i * (one - g.z * g.z);
  by.f = through * (G == 4 ? before : before - g.z) * g.f * (one - g.f);
  if (G >= 3) by.o = by_h * c * g.o * (one - g.o);
  if (G == 4) by.i = through * g.z * g.i * (one - g.i);
  carry = keep ? by_c : by_c * g.f;
  return by;
}

}  // namespace mtl
