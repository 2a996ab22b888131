// The loops over steps and channels. Included once an instruction set, MTL_ISA being its namespace.
//
// Time is the outer loop: a row of channels of one step lies together, and the next step follows it,
// so that memory is walked in the order of storage. The state of the block stays in the first cache.

#include "../pool_step.h"
#include "lanes.h"

namespace mtl::MTL_ISA {

// A block of channels of one sentence. The last vector may reach past the end: it is then computed in
// full, on copies of the numbers that are there.
template <class T>
struct Block {
  using L = Lanes<T>;
  using A = typename L::A;
  static constexpr int kLanes = L::kCount;

  static MTL_INLINE A read(const T* from, int64_t there) {
    if (there >= kLanes) return L::read(from);
    T padded[kLanes] = {};
    for (int64_t k = 0; k < there; ++k) padded[k] = from[k];
    return L::read(padded);
  }

  static MTL_INLINE void write(T* to, A x, int64_t there) {
    if (there >= kLanes) return L::write(to, x);
    T padded[kLanes];
    L::write(padded, x);
    for (int64_t k = 0; k < there; ++k) to[k] = padded[k];
  }

  template <bool kKeep>
  static MTL_INLINE auto read_keep(const bool* from, int64_t there) {
    if constexpr (kKeep) {
      bool padded[kLanes] = {};
      for (int64_t k = 0; k < there && there < kLanes; ++k) padded[k] = from[k];
      return L::read_mask(there < kLanes ? padded : from);
    } else {
      return false;
    }
  }

  template <int G>
  static MTL_INLINE Gates<A> read_gates(const T* from, int64_t width, int64_t there) {
    Gates<A> raw;
    raw.z = read(from, there);
    raw.f = read(from + width, there);
    if (G >= 3) raw.o = read(from + 2 * width, there);
    if (G == 4) raw.i = read(from + 3 * width, there);
    return raw;
  }

  template <int G>
  static MTL_INLINE void write_gates(T* to, int64_t width, Gates<A> g, int64_t there) {
    write(to, g.z, there);
    write(to + width, g.f, there);
    if (G >= 3) write(to + 2 * width, g.o, there);
    if (G == 4) write(to + 3 * width, g.i, there);
  }

  // Asks for what the next step reads and writes while this one computes: worth half as much again.
  template <int kCount, bool kWrite>
  static MTL_INLINE void fetch(const T* row, int64_t width) {
    for (int i = 0; i < kCount; ++i) __builtin_prefetch(row + i * width, kWrite);
  }

  static void clear(T* rows, int64_t steps, int64_t stride, int64_t channels) {
    for (int64_t t = 0; t < steps; ++t)
      for (int64_t k = 0; k < channels; ++k) rows[t * stride + k] = T(0);
  }

  template <int G, bool kKeep>
  static void forward(const Forward<T>& p, int64_t b, int64_t first, int64_t end) {
    const int64_t channels = end - first, width = p.width, length = p.length(b);
    A state[kBlock / kLanes];
    for (int64_t k = 0; k < channels; k += kLanes)
      state[k / kLanes] = p.c0 ? read(p.c0 + b * width + first + k, channels - k) : A{};

    for (int64_t n = 0; n < length; ++n) {
      const int64_t t = p.place(n, length), row = (b * p.steps + t) * width + first;
      const T* gates = p.gates + b * p.gates_sentence + t * p.gates_step + first;
      const int64_t next = p.reverse ? -1 : 1;
      const auto step = [&](int64_t k, int64_t there) __attribute__((always_inline)) {
        fetch<G, false>(gates + next * p.gates_step + k, width);
        fetch<1, true>(p.h + row + next * width + k, width);
        if (p.states) fetch<1, true>(p.states + row + next * width + k, width);
        const Gates<A> g = activate<G>(read_gates<G>(gates + k, width, there));
        A& c = state[k / kLanes];
        c = next_state(g, c, read_keep<kKeep>(p.keep + row + k, there));
        write(p.h + row + k, G >= 3 ? g.o * c : c, there);
        if (p.states) write(p.states + row + k, c, there);
      };
      int64_t k = 0;
      for (; k + kLanes <= channels; k += kLanes) step(k, kLanes);
      if (k < channels) step(k, channels - k);
    }

    const int64_t padding = (b * p.steps + length) * width + first;
    clear(p.h + padding, p.steps - length, width, channels);
    if (p.states) clear(p.states + padding, p.steps - length, width, channels);
    for (int64_t k = 0; k < channels; k += kLanes)
      write(p.last + b * width + first + k, state[k / kLanes], channels - k);
  }

  template <int G, bool kKeep>
  static void backward(const Backward<T>& p, int64_t b, int64_t first, int64_t end) {
    const int64_t channels = end - first, width = p.width, length = p.length(b);
    A carry[kBlock / kLanes];
    T zero[kBlock];
    for (int64_t k = 0; k < channels; k += kLanes)
      carry[k / kLanes] = read(p.by_last + b * width + first + k, channels - k);
    clear(zero, 1, 0, channels);

    for (int64_t n = length - 1; n >= 0; --n) {
      const int64_t t = p.place(n, length), row = (b * p.steps + t) * width + first;
      const T* gates = p.gates + b * p.gates_sentence + t * p.gates_step + first;
      const T* by_h = p.by_h + b * p.by_h_sentence + t * p.by_h_step + first;
      const T* before = n      ? p.states + (b * p.steps + p.place(n - 1, length)) * width + first
                        : p.c0 ? p.c0 + b * width + first
                               : zero;
      T* by_gates = p.by_gates + (b * p.steps + t) * G * width + first;
      const int64_t next = p.reverse ? 1 : -1;
      const auto step = [&](int64_t k, int64_t there) __attribute__((always_inline)) {
        fetch<G, false>(gates + next * p.gates_step + k, width);
        fetch<1, false>(by_h + next * p.by_h_step + k, width);
        fetch<1, false>(before + next * width + k, width);
        fetch<G, true>(by_gates + next * G * width + k, width);
        const Gates<A> g = activate<G>(read_gates<G>(gates + k, width, there));
        const auto keep = read_keep<kKeep>(p.keep + row + k, there);
        const A c = read(before + k, there), by = read(by_h + k, there);
        const Gates<A> by_raw = step_back<G>(g, c, by, keep, carry[k / kLanes]);
        write_gates<G>(by_gates + k, width, by_raw, there);
      };
      int64_t k = 0;
      for (; k + kLanes <= channels; k += kLanes) step(k, kLanes);
      if (k < channels) step(k, channels - k);
    }

    T* padding = p.by_gates + (b * p.steps + length) * G * width + first;
    for (int gate = 0; gate < G; ++gate)
      clear(padding + gate * width, p.steps - length, G * width, channels);
    for (int64_t k = 0; k < channels; k += kLanes)
      write(p.by_c0 + b * width + first + k, carry[k / kLanes], channels - k);
  }
};

template <class T>
void forward(const Forward<T>& p, int64_t b, int64_t first, int64_t end) {
  switch (p.keep ? -p.count : p.count) {
    case 2: return Block<T>::template forward<2, false>(p, b, first, end);
    case 3: return Block<T>::template forward<3, false>(p, b, first, end);
    case 4: return Block<T>::template forward<4, false>(p, b, first, end);
    case -2: return Block<T>::template forward<2, true>(p, b, first, end);
    case -3: return Block<T>::template forward<3, true>(p, b, first, end);
    case -4: return Block<T>::template forward<4, true>(p, b, first, end);
  }
}

template <class T>
void backward(const Backward<T>& p, int64_t b, int64_t first, int64_t end) {
  switch (p.keep ? -p.count : p.count) {
    case 2: return Block<T>::template backward<2, false>(p, b, first, end);
    case 3: return Block<T>::template backward<3, false>(p, b, first, end);
    case 4: return Block<T>::template backward<4, false>(p, b, first, end);
    case -2: return Block<T>::template backward<2, true>(p, b, first, end);
    case -3: return Block<T>::template backward<3, true>(p, b, first, end);
    case -4: return Block<T>::template backward<4, true>(p, b, first, end);
  }
}

#define MTL_INSTANTIATE(T)                                                \
  template void forward<T>(const Forward<T>&, int64_t, int64_t, int64_t); \
  template void backward<T>(const Backward<T>&, int64_t, int64_t, int64_t);
MTL_INSTANTIATE(float)
MTL_INSTANTIATE(double)
MTL_INSTANTIATE(c10::BFloat16)
MTL_INSTANTIATE(c10::Half)
#undef MTL_INSTANTIATE

}  // namespace mtl::MTL_ISA
