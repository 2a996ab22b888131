// The loops over rows of a table. Included once per instruction set, in the namespace MTL_ISA.

#include "../pool_step.h"
#include "lanes.h"

namespace mtl::MTL_ISA {

using Vec = Lanes<float>::A;
constexpr int kVec = Lanes<float>::kCount;

// Numbers of type T as floats. At the end of a row, only the existing numbers are read or written.
template <class T>
static MTL_INLINE Vec load(const T* from, int64_t there) {
  return Lanes<T>::read(from, there);
}

static MTL_INLINE void store(float* to, Vec x, int64_t there) { Lanes<float>::write(to, x, there); }

static MTL_INLINE void clear_padding(float* from, int64_t steps, int64_t stride, int64_t width) {
  for (int64_t t = 0; t < steps; ++t) std::fill_n(from + t * stride, width, 0.0f);
}

// Channels whose states stay in registers or the first cache over all steps of a sentence.
constexpr int64_t kChannels = 64 * kVec;

template <int G, class T>
static void pool_sentence(const PoolRows<T>& p, int64_t b, int64_t direction) {
  const int64_t length = p.length(b), width = p.width, tap = p.directions * G * width;
  const bool backwards = p.backwards(direction);
  for (int64_t first = 0; first < width; first += kChannels) {
    const int64_t channels = std::min(kChannels, width - first);
    const int64_t column = direction * G * width + first;
    Vec state[kChannels / kVec];
    for (int64_t k = 0; k < channels; k += kVec)
      state[k / kVec] =
          p.start ? load(p.start + direction * width + first + k, channels - k) : Vec{};
    for (int64_t n = 0; n < length; ++n) {
      const int64_t t = backwards ? length - 1 - n : n, next = backwards ? t - 1 : t + 1;
      const T* row = p.at(b, t) + column;
      const T* soon = n + 1 < length ? p.at(b, next) + column : row;
      const int64_t seen = std::min(p.window - 1, n);
      float* h = p.out(b, t, direction) + first;
      const auto step = [&](int64_t k, int64_t there) __attribute__((always_inline)) {
        Vec raw[4] = {};
        MTL_UNROLL
        for (int gate = 0; gate < G; ++gate) {
          raw[gate] = load(row + gate * width + k, there);
          __builtin_prefetch(soon + gate * width + k);
        }
        for (int64_t back = 1; back <= seen; ++back) {
          const T* before = p.at(b, backwards ? t + back : t - back) + back * tap + column;
          MTL_UNROLL
          for (int gate = 0; gate < G; ++gate) {
            raw[gate] += load(before + gate * width + k, there);
            if (back == 1) __builtin_prefetch(row + tap + gate * width + k);
          }
        }
        const Gates<Vec> g = activate<G>(Gates<Vec>{raw[0], raw[1], raw[2], raw[3]});
        Vec& c = state[k / kVec];
        c = next_state(g, c, false);
        store(h + k, G >= 3 ? g.o * c : c, there);
      };
      int64_t k = 0;
      for (; k + kVec <= channels; k += kVec) step(k, kVec);
      if (k < channels) step(k, channels - k);
    }
  }
  clear_padding(p.h + (b * p.steps + length) * p.row() + direction * width, p.steps - length, p.row(),
                width);
}

template <class T>
void pool_rows(const PoolRows<T>& p, int64_t sentence, int64_t direction) {
  switch (p.count) {
    case 2: return pool_sentence<2>(p, sentence, direction);
    case 3: return pool_sentence<3>(p, sentence, direction);
    case 4: return pool_sentence<4>(p, sentence, direction);
  }
}

// From [G·H, H], as torch stores them, to [panels, H, G, lanes].
void pack(const float* weights, int64_t count, int64_t width, float* packed) {
  for (int64_t first = 0; first < width; first += kVec)
    for (int64_t k = 0; k < width; ++k)
      for (int64_t gate = 0; gate < count; ++gate)
        for (int64_t lane = 0; lane < kVec; ++lane)
          *packed++ = first + lane < width ? weights[(gate * width + first + lane) * width + k] : 0.0f;
}

// One step of S sentences for the units of one panel. `before` and `after` are the outputs of the sentences
// before and after the step, `cells` their cell states.
template <int G, int S, class T>
static MTL_INLINE void cell_panel(const T* const* rows, const float* const* before, float* const* after,
                                  float* const* cells, const float* weights, const float* bias,
                                  int64_t width, int64_t first) {
  const int64_t there = width - first;
  Vec sum[S][G];
  MTL_UNROLL
  for (int s = 0; s < S; ++s)
    MTL_UNROLL
    for (int gate = 0; gate < G; ++gate)
      sum[s][gate] = G == 3 && gate == 2 ? load(bias + first, there)
                                         : load(rows[s] + gate * width + first, there);
  for (int64_t k = 0; k < width; ++k, weights += G * kVec) {
    Vec w[G];
    MTL_UNROLL
    for (int gate = 0; gate < G; ++gate) w[gate] = Lanes<float>::read(weights + gate * kVec);
    MTL_UNROLL
    for (int s = 0; s < S; ++s) {
      const Vec x = Vec{} + before[s][k];
      MTL_UNROLL
      for (int gate = 0; gate < G; ++gate) sum[s][gate] += x * w[gate];
    }
  }
  MTL_UNROLL
  for (int s = 0; s < S; ++s) {
    Vec h;
    if constexpr (G == 4) {
      const Vec c = sigmoid(sum[s][1]) * load(cells[s] + first, there) +
                    sigmoid(sum[s][0]) * hyperbolic_tangent(sum[s][2]);
      store(cells[s] + first, c, there);
      h = sigmoid(sum[s][3]) * hyperbolic_tangent(c);
    } else {
      const Vec z = sigmoid(sum[s][1]);
      const Vec n = hyperbolic_tangent(load(rows[s] + 2 * width + first, there) +
                                       sigmoid(sum[s][0]) * sum[s][2]);
      h = n + z * (load(before[s] + first, there) - n);
    }
    store(after[s] + first, h, there);
  }
}

// The number of sentences per pass over a panel: their sums fit into the registers.
constexpr int kTogetherCells = MTL_BYTES == 64 ? 6 : 2;

template <int G, class T>
static void cell_group(const CellRows<T>& p, const int64_t* order, int64_t count, int64_t direction) {
  const int64_t width = p.width, panels = (width + kVec - 1) / kVec;
  const float* weights = p.weights + direction * panels * width * G * kVec;
  const float* bias = p.bias ? p.bias + direction * width : nullptr;
  const bool backwards = p.backwards(direction);
  float* const memory = new float[(kGroup + 1) * width]();
  float* const zero = memory + kGroup * width;
  const T* rows[kGroup];
  const float* before[kGroup];
  float *after[kGroup], *cells[kGroup];
  for (int64_t s = 0; s < count; ++s) {
    const float* start =
        p.start ? p.start + order[s] * p.start_stride + direction * width : zero;
    cells[s] = memory + s * width;
    before[s] = start;
    if (p.start && G == 4) std::copy_n(start + p.row(), width, cells[s]);
  }
  // `order` lists the sentences from the longest to the shortest.
  const int64_t all = count;
  for (int64_t n = 0; count && n < p.length(order[0]); ++n) {
    while (count && n >= p.length(order[count - 1])) --count;
    for (int64_t s = 0; s < count; ++s) {
      const int64_t b = order[s], t = backwards ? p.length(b) - 1 - n : n;
      rows[s] = p.at(b, t) + direction * G * width;
      after[s] = p.out(b, t, direction);
    }
    for (int64_t panel = 0; panel < panels; ++panel) {
      const float* w = weights + panel * width * G * kVec;
      const auto run = [&](auto some, int64_t s) __attribute__((always_inline)) {
        cell_panel<G, decltype(some)::value>(rows + s, before + s, after + s, cells + s, w, bias, width,
                                             panel * kVec);
      };
      int64_t s = 0;
      for (; s + kTogetherCells <= count; s += kTogetherCells)
        run(std::integral_constant<int, kTogetherCells>{}, s);
      for (; s + 2 <= count; s += 2) run(std::integral_constant<int, 2>{}, s);
      if (s < count) run(std::integral_constant<int, 1>{}, s);
    }
    for (int64_t s = 0; s < count; ++s) before[s] = after[s];
  }
  for (int64_t s = 0; p.cells && s < all; ++s)
    std::copy_n(cells[s], width, p.cells + order[s] * p.row() + direction * width);
  delete[] memory;
}

template <class T>
void cell_rows(const CellRows<T>& p, const int64_t* order, int64_t count, int64_t direction) {
  for (int64_t s = 0; s < count; ++s) {
    const int64_t b = order[s], length = p.length(b);
    clear_padding(p.h + (b * p.steps + length) * p.row() + direction * p.width, p.steps - length,
                  p.row(), p.width);
  }
  if (p.count == 4) return cell_group<4>(p, order, count, direction);
  cell_group<3>(p, order, count, direction);
}

#define MTL_INSTANTIATE(T)                                                \
  template void pool_rows<T>(const PoolRows<T>&, int64_t, int64_t);       \
  template void cell_rows<T>(const CellRows<T>&, const int64_t*, int64_t, int64_t);
MTL_INSTANTIATE(float)
#ifdef TORCH_TARGET_VERSION
MTL_INSTANTIATE(Half)
#endif
#undef MTL_INSTANTIATE

}  // namespace mtl::MTL_ISA
