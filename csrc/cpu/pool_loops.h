// The loops over steps and channels. Included once an instruction set, MTL_ISA being its namespace.
//
// Time is the outer loop: a row of channels of one step lies together, and the next step follows it,
// so that memory is walked in the order of storage. The state of the block stays in the first cache.

namespace mtl::MTL_ISA {

template <class T>
using Arithmetic = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <int G, class T>
MTL_INLINE Gates<Arithmetic<T>> load(const T* row, int64_t width, int64_t k) {
  using A = Arithmetic<T>;
  Gates<A> raw{A(row[k]), A(row[width + k]), A(0), A(0)};
  if (G >= 3) raw.o = A(row[2 * width + k]);
  if (G == 4) raw.i = A(row[3 * width + k]);
  return raw;
}

template <class T>
static void clear(T* rows, int64_t steps, int64_t stride, int64_t channels) {
  for (int64_t t = 0; t < steps; ++t) std::memset(rows + t * stride, 0, channels * sizeof(T));
}

template <int G, bool kKeep, class T>
static void forward_block(const Forward<T>& p, int64_t b, int64_t first, int64_t end) {
  using A = Arithmetic<T>;
  const int64_t channels = end - first, width = p.width, length = p.length(b);
  A state[kBlock];
  T unwanted[kBlock];
  for (int64_t k = 0; k < channels; ++k) state[k] = p.c0 ? A(p.c0[b * width + first + k]) : A(0);

  for (int64_t n = 0; n < length; ++n) {
    const int64_t t = p.place(n, length), row = (b * p.steps + t) * width + first;
    const T* gates = p.gates + b * p.gates_sentence + t * p.gates_step + first;
    const bool* keep = kKeep ? p.keep + row : nullptr;
    T* h = p.h + row;
    T* states = p.states ? p.states + row : unwanted;
#pragma omp simd
    for (int64_t k = 0; k < channels; ++k) {
      const Gates<A> g = activate<G>(load<G>(gates, width, k));
      const A c = next_state(g, state[k], kKeep && keep[k]);
      state[k] = c;
      if (G >= 3) states[k] = T(c);
      h[k] = T(g.o * c);
    }
  }

  const int64_t padding = (b * p.steps + length) * width + first;
  clear(p.h + padding, p.steps - length, width, channels);
  if (p.states) clear(p.states + padding, p.steps - length, width, channels);
  for (int64_t k = 0; k < channels; ++k) p.last[b * width + first + k] = T(state[k]);
}

template <int G, bool kKeep, class T>
static void backward_block(const Backward<T>& p, int64_t b, int64_t first, int64_t end) {
  using A = Arithmetic<T>;
  const int64_t channels = end - first, width = p.width, length = p.length(b);
  A carry[kBlock];
  T zero[kBlock];
  for (int64_t k = 0; k < channels; ++k) carry[k] = A(p.by_last[b * width + first + k]);
  if (!p.c0) std::memset(zero, 0, channels * sizeof(T));

  for (int64_t n = length - 1; n >= 0; --n) {
    const int64_t t = p.place(n, length), row = (b * p.steps + t) * width + first;
    const T* gates = p.gates + b * p.gates_sentence + t * p.gates_step + first;
    const bool* keep = kKeep ? p.keep + row : nullptr;
    const T* by_h = p.by_h + b * p.by_h_sentence + t * p.by_h_step + first;
    const T* before = n      ? p.states + (b * p.steps + p.place(n - 1, length)) * width + first
                      : p.c0 ? p.c0 + b * width + first
                             : zero;
    T* by_gates = p.by_gates + (b * p.steps + t) * G * width + first;
#pragma omp simd
    for (int64_t k = 0; k < channels; ++k) {
      const Gates<A> g = activate<G>(load<G>(gates, width, k));
      A rest = carry[k];
      const Gates<A> by = step_back<G>(g, A(before[k]), A(by_h[k]), kKeep && keep[k], rest);
      carry[k] = rest;
      by_gates[k] = T(by.z);
      by_gates[width + k] = T(by.f);
      if (G >= 3) by_gates[2 * width + k] = T(by.o);
      if (G == 4) by_gates[3 * width + k] = T(by.i);
    }
  }

  T* padding = p.by_gates + (b * p.steps + length) * G * width + first;
  for (int gate = 0; gate < G; ++gate)
    clear(padding + gate * width, p.steps - length, G * width, channels);
  for (int64_t k = 0; k < channels; ++k) p.by_c0[b * width + first + k] = T(carry[k]);
}

template <class T>
void forward(const Forward<T>& p, int64_t b, int64_t first, int64_t end) {
  switch (p.keep ? -p.count : p.count) {
    case 2: return forward_block<2, false>(p, b, first, end);
    case 3: return forward_block<3, false>(p, b, first, end);
    case 4: return forward_block<4, false>(p, b, first, end);
    case -2: return forward_block<2, true>(p, b, first, end);
    case -3: return forward_block<3, true>(p, b, first, end);
    case -4: return forward_block<4, true>(p, b, first, end);
  }
}

template <class T>
void backward(const Backward<T>& p, int64_t b, int64_t first, int64_t end) {
  switch (p.keep ? -p.count : p.count) {
    case 2: return backward_block<2, false>(p, b, first, end);
    case 3: return backward_block<3, false>(p, b, first, end);
    case 4: return backward_block<4, false>(p, b, first, end);
    case -2: return backward_block<2, true>(p, b, first, end);
    case -3: return backward_block<3, true>(p, b, first, end);
    case -4: return backward_block<4, true>(p, b, first, end);
  }
}

#define MTL_INSTANTIATE(T)                                                   \
  template void forward<T>(const Forward<T>&, int64_t, int64_t, int64_t);    \
  template void backward<T>(const Backward<T>&, int64_t, int64_t, int64_t);
MTL_INSTANTIATE(float)
MTL_INSTANTIATE(double)
MTL_INSTANTIATE(c10::BFloat16)
MTL_INSTANTIATE(c10::Half)
#undef MTL_INSTANTIATE

}  // namespace mtl::MTL_ISA
