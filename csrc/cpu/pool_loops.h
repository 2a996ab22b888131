// The loops over steps and channels. Included once per instruction set, in the namespace MTL_ISA.
//
// Time is the outer loop: a row of channels of one step is contiguous and the next step follows it, so
// memory is read in storage order. The state of the block stays in the first cache.

#include "../pool_step.h"
#include "lanes.h"

namespace mtl::MTL_ISA {

// A block of channels of one sentence. If the last vector extends past the end, it is computed in full,
// on a copy of the existing numbers.
template <class T>
struct Block {
  using L = Lanes<T>;
  using A = typename L::A;
  static constexpr int kLanes = L::kCount;

  static MTL_INLINE A read(const T* from, int64_t there) { return L::read(from, there); }
  static MTL_INLINE void write(T* to, A x, int64_t there) { L::write(to, x, there); }

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

  // Prefetches the data of the next step while this one computes.
  template <int kCount, bool kWrite>
  static MTL_INLINE void fetch(const T* row, int64_t width) {
    for (int i = 0; i < kCount; ++i) __builtin_prefetch(row + i * width, kWrite);
  }

  static void clear(T* rows, int64_t steps, int64_t stride, int64_t channels) {
    for (int64_t t = 0; t < steps; ++t)
      for (int64_t k = 0; k < channels; ++k) rows[t * stride + k] = T(0);
  }

  // The index of the n-th real step in reading order.
  static int64_t place(int64_t n, int64_t length, bool backwards) {
    return backwards ? length - 1 - n : n;
  }

  template <int G, bool kKeep>
  static void forward(const Forward<T>& p, const Part& part) {
    const int64_t channels = part.end - part.first, width = p.width, stride = p.row();
    const int64_t b = part.sentence, length = p.length(b), column = p.column(part.direction, part.first);
    const bool backwards = p.backwards(part.direction);
    const int64_t next = backwards ? -1 : 1;
    A state[kBlock / kLanes];
    for (int64_t k = 0; k < channels; k += kLanes)
      state[k / kLanes] = p.c0 ? read(p.c0 + b * stride + column + k, channels - k) : A{};

    for (int64_t n = 0; n < length; ++n) {
      const int64_t t = place(n, length, backwards), row = (b * p.steps + t) * stride + column;
      const T* gates =
          p.gates + b * p.gates_sentence + t * p.gates_step + p.gate_column(part.direction, part.first);
      const auto step = [&](int64_t k, int64_t there) __attribute__((always_inline)) {
        fetch<G, false>(gates + next * p.gates_step + k, width);
        fetch<1, true>(p.h + row + next * stride + k, width);
        if (p.states) fetch<1, true>(p.states + row + next * stride + k, width);
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

    const int64_t padding = (b * p.steps + length) * stride + column;
    clear(p.h + padding, p.steps - length, stride, channels);
    if (p.states) clear(p.states + padding, p.steps - length, stride, channels);
    for (int64_t k = 0; k < channels; k += kLanes)
      write(p.last + b * stride + column + k, state[k / kLanes], channels - k);
  }

  template <int G, bool kKeep>
  static void backward(const Backward<T>& p, const Part& part) {
    const int64_t channels = part.end - part.first, width = p.width, stride = p.row();
    const int64_t b = part.sentence, length = p.length(b), column = p.column(part.direction, part.first);
    const bool backwards = p.backwards(part.direction);
    const int64_t next = backwards ? 1 : -1;
    A carry[kBlock / kLanes];
    T zero[kBlock];
    for (int64_t k = 0; k < channels; k += kLanes)
      carry[k / kLanes] = read(p.by_last + b * stride + column + k, channels - k);
    clear(zero, 1, 0, channels);
    T* const by_first = p.by_gates + b * p.by_gates_sentence + p.gate_column(part.direction, part.first);

    for (int64_t n = length - 1; n >= 0; --n) {
      const int64_t t = place(n, length, backwards), row = (b * p.steps + t) * stride + column;
      const T* gates =
          p.gates + b * p.gates_sentence + t * p.gates_step + p.gate_column(part.direction, part.first);
      const T* by_h = p.by_h + b * p.by_h_sentence + t * p.by_h_step + column;
      const T* before = n      ? p.states + row + next * stride
                        : p.c0 ? p.c0 + b * stride + column
                               : zero;
      T* by_gates = by_first + t * p.by_gates_step;
      const auto step = [&](int64_t k, int64_t there) __attribute__((always_inline)) {
        fetch<G, false>(gates + next * p.gates_step + k, width);
        fetch<1, false>(by_h + next * p.by_h_step + k, width);
        fetch<1, false>(before + next * stride + k, width);
        fetch<G, true>(by_gates + next * p.by_gates_step + k, width);
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

    for (int gate = 0; gate < G; ++gate)
      clear(by_first + length * p.by_gates_step + gate * width, p.steps - length,
            p.by_gates_step, channels);
    for (int64_t k = 0; k < channels; k += kLanes)
      write(p.by_c0 + b * stride + column + k, carry[k / kLanes], channels - k);
  }
};

template <class T>
void forward(const Forward<T>& p, const Part& part) {
  switch (p.keep ? -p.count : p.count) {
    case 2: return Block<T>::template forward<2, false>(p, part);
    case 3: return Block<T>::template forward<3, false>(p, part);
    case 4: return Block<T>::template forward<4, false>(p, part);
    case -2: return Block<T>::template forward<2, true>(p, part);
    case -3: return Block<T>::template forward<3, true>(p, part);
    case -4: return Block<T>::template forward<4, true>(p, part);
  }
}

template <class T>
void backward(const Backward<T>& p, const Part& part) {
  switch (p.keep ? -p.count : p.count) {
    case 2: return Block<T>::template backward<2, false>(p, part);
    case 3: return Block<T>::template backward<3, false>(p, part);
    case 4: return Block<T>::template backward<4, false>(p, part);
    case -2: return Block<T>::template backward<2, true>(p, part);
    case -3: return Block<T>::template backward<3, true>(p, part);
    case -4: return Block<T>::template backward<4, true>(p, part);
  }
}

#define MTL_INSTANTIATE(T)                                 \
  template void forward<T>(const Forward<T>&, const Part&); \
  template void backward<T>(const Backward<T>&, const Part&);
MTL_INSTANTIATE(float)
#ifdef TORCH_TARGET_VERSION
MTL_INSTANTIATE(double)
MTL_INSTANTIATE(BFloat16)
MTL_INSTANTIATE(Half)
#endif
#undef MTL_INSTANTIATE

}  // namespace mtl::MTL_ISA
