// The channels of a thread: their position in memory, loads and stores, and reading steps ahead.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../pool.h"

namespace mtl {

constexpr int kLanes = 32;  // adjacent threads in a block, each with its own channels

// Adjacent channels that are read and written together.
template <class T, int V>
struct Pack {
  T number{};

  MTL_INLINE T operator[](int) const { return number; }
  MTL_INLINE void put(int, T x) { number = x; }
};

// Two 16-bit numbers. Separately, each would need a register.
template <class T>
struct Pack<T, 2> {
  uint32_t bits = 0;

  MTL_INLINE T operator[](int v) const {
    const uint16_t half = bits >> 16 * v;
    T x;
    std::memcpy(&x, &half, sizeof x);
    return x;
  }
  MTL_INLINE void put(int v, T x) {
    uint16_t half;
    std::memcpy(&half, &x, sizeof x);
    bits = (bits & 0xffffu << 16 * (1 - v)) | uint32_t(half) << 16 * v;
  }
};

// The rows of a sentence, one per step, in the order in which a thread reads them, at its channels.
template <class T>
struct Rows {
  T* first;
  int64_t step;

  __device__ T* operator[](int64_t n) const { return first + n * step; }
};

template <int V, class T>
__device__ Pack<T, V> load(const T* from) {
  return *reinterpret_cast<const Pack<T, V>*>(from);
}

template <class T, int V>
__device__ void store(T* to, Pack<T, V> x) {
  *reinterpret_cast<Pack<T, V>*>(to) = x;
}

// The channels of a thread and the steps of its sentence.
template <int V>
struct Channels {
  int64_t sentence, column, columns;  // of [B, D·H]
  int64_t gates_column;               // the column of z
  int64_t length;                     // real steps
  int64_t mine;                       // the same, or 0 beyond the last column
  bool from_end;                      // whether the first step read is the last one

  template <class T>
  __device__ Channels(const Batch<T>& p, bool backwards) {
    columns = p.row();
    const int64_t blocks = (columns + kLanes * V - 1) / (kLanes * V);
    sentence = blockIdx.x / blocks;
    column = (blockIdx.x % blocks * kLanes + threadIdx.x) * V;
    const int64_t direction = column / p.width;
    gates_column = p.gate_column(direction, column % p.width);
    from_end = p.backwards(direction) != backwards;
    length = p.length(sentence);
    mine = column < columns ? length : 0;
  }

  template <class T>
  __device__ Rows<T> rows(T* from, int64_t to_sentence, int64_t to_step, int64_t at) const {
    from += sentence * to_sentence + at;
    return from_end && length ? Rows<T>{from + (length - 1) * to_step, -to_step}
                              : Rows<T>{from, to_step};
  }

  // Of a contiguous tensor [B, T, D·H], or of none.
  template <class T>
  __device__ Rows<T> rows(T* from, int64_t steps) const {
    return from ? rows(from, steps * columns, columns, column) : Rows<T>{};
  }

  template <class T, class A>
  __device__ void read_state(const T* from, A (&x)[V]) const {
    Pack<T, V> stored{};
    if (from && column < columns)
      stored = load<V>(from + sentence * columns + column);
    for (int v = 0; v < V; ++v) x[v] = A(stored[v]);
  }

  template <class T, class A>
  __device__ void write_state(T* to, const A (&x)[V]) const {
    Pack<T, V> stored{};
    for (int v = 0; v < V; ++v) stored.put(v, T(x[v]));
    if (threadIdx.y == 0 && column < columns)
      store(to + sentence * columns + column, stored);
  }

  // Clears the columns in the steps beyond the length.
  template <class T>
  __device__ void clear(T* from, int64_t to_sentence, int64_t to_step, int64_t steps, int64_t at) const {
    from += sentence * to_sentence + at;
    for (int64_t t = length + threadIdx.y; t < steps && column < columns; t += blockDim.y)
      store(from + t * to_step, Pack<T, V>{});
  }
};

// U steps as read, N packs each. One byte per channel says whether its state is kept, as it is beyond
// the last step.
template <class T, int N, int U, int V>
struct Steps {
  using Bytes = std::conditional_t<V == 2, uint16_t, uint8_t>;
  Pack<T, V> at[U][N];
  Bytes keep[U];

  // Reads from step n on. `fill` receives a step and the destination of its packs.
  template <class Fill>
  __device__ void read(int64_t n, int64_t end, const Rows<const bool>& rows, const Fill& fill) {
    *this = {};
#pragma unroll
    for (int u = 0; u < U; ++u) {
      if (n + u >= end) {
        keep[u] = Bytes(~0);
        continue;
      }
      fill(n + u, at[u]);
      if (rows.first) keep[u] = *reinterpret_cast<const Bytes*>(rows[n + u]);
    }
  }

  // One bit per channel and step: a single register, where bytes would need many.
  __device__ uint32_t kept() const {
    uint32_t bits = 0;
#pragma unroll
    for (int u = 0; u < U; ++u)
      for (int v = 0; v < V; ++v) bits |= (keep[u] >> 8 * v & 1u) << (u * V + v);
    return bits;
  }
};

}  // namespace mtl
