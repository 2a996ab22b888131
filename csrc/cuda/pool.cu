// Pooling on the GPU, with one kernel for the forward and one for the backward pass. README.md explains
// how steps and channels are distributed.
#include "pool.h"

#ifdef __CUDACC__  // the tests also compile this file for the CPU
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

#include <algorithm>
#include <initializer_list>
#include <type_traits>

#include "../pool_step.h"
#include "channels.h"

// The data of a kernel launch.
alignas(16) extern __shared__ unsigned char mtl_shared[];

namespace mtl {
namespace {

constexpr int kWarps = 16;  // at most, per block: 512 threads leave 128 registers each
// Bytes in flight that saturate memory bandwidth: bandwidth times latency, plus a margin.
constexpr int64_t kUnderWay = 4 << 20;

template <class T>
using Arithmetic = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <int G, class T, int N, int V>
__device__ auto activated(const Pack<T, V> (&raw)[N], int v) {
  using A = Arithmetic<T>;
  Gates<A> g;
  g.z = A(raw[0][v]), g.f = A(raw[1][v]);
  if (G >= 3) g.o = A(raw[2][v]);
  if (G == 4) g.i = A(raw[3][v]);
  return activate<G>(g);
}

// The message of a warp to the others: its steps map x to decay·x + gain.
template <class A, int V>
struct Told {
  A decay[V][kLanes], gain[V][kLanes];
};

// The warps of a block process the same channels one after another. On entry, `carry` is x before the
// first warp; on return, x after the last one. Writes x before this warp to `x`. Calls alternate between
// turns 0 and 1, so that a warp can still read the previous messages.
template <class A, int V>
__device__ void pass_on(const A (&decay)[V], const A (&gain)[V], int turn, A (&carry)[V], A (&x)[V]) {
  auto* const told = reinterpret_cast<Told<A, V>*>(mtl_shared) + turn * blockDim.y;
  for (int v = 0; v < V; ++v) {
    told[threadIdx.y].decay[v][threadIdx.x] = decay[v];
    told[threadIdx.y].gain[v][threadIdx.x] = gain[v];
  }
  __syncthreads();
  for (int warp = 0; warp < blockDim.y; ++warp)
    for (int v = 0; v < V; ++v) {
      if (warp == threadIdx.y) x[v] = carry[v];
      carry[v] = told[warp].decay[v][threadIdx.x] * carry[v] + told[warp].gain[v][threadIdx.x];
    }
}

template <class T, int G, int U, int V>
__global__ void __launch_bounds__(kLanes* kWarps) forward(Forward<T> p) {
  using A = Arithmetic<T>;
  const Channels<V> own(p, false);
  const auto gates = own.rows(p.gates, p.gates_sentence, p.gates_step, own.gates_column);
  const auto keep = own.rows(p.keep, p.steps);
  const auto h = own.rows(p.h, p.steps), states = own.rows(p.states, p.steps);
  const auto fill = [&](int64_t n, Pack<T, V>(&to)[G]) {
    for (int i = 0; i < G; ++i) to[i] = load<V>(gates[n] + i * p.width);
  };

  A carry[V];
  own.read_state(p.c0, carry);
  const int64_t stride = U * blockDim.y;
  int64_t n = U * threadIdx.y;
  Steps<T, G, U, V> next;
  next.read(n, own.mine, keep, fill);
  for (int64_t start = 0; start < own.length; start += stride, n += stride) {
    const auto now = next;
    const uint32_t kept = now.kept();
    const auto stays = [=](int u, int v) { return bool(kept >> (u * V + v) & 1); };
    next.read(n + stride, own.mine, keep, fill);
    Gates<A> g[U][V];
#pragma unroll
    for (int u = 0; u < U; ++u)
      for (int v = 0; v < V; ++v) g[u][v] = activated<G>(now.at[u], v);
    A c[V];
    for (int v = 0; v < V; ++v) c[v] = carry[v];
    if (blockDim.y > 1) {
      A decay[V], gain[V];
      for (int v = 0; v < V; ++v) decay[v] = 1, gain[v] = 0;
#pragma unroll
      for (int u = 0; u < U; ++u)
        for (int v = 0; v < V; ++v) {
          decay[v] *= stays(u, v) ? A(1) : g[u][v].f;
          gain[v] = next_state(g[u][v], gain[v], stays(u, v));
        }
      pass_on(decay, gain, start / stride % 2, carry, c);
    }
#pragma unroll
    for (int u = 0; u < U; ++u) {
      Pack<T, V> to_h, to_states;
      for (int v = 0; v < V; ++v) {
        c[v] = next_state(g[u][v], c[v], stays(u, v));
        to_h.put(v, T(G >= 3 ? g[u][v].o * c[v] : c[v]));
        to_states.put(v, T(c[v]));
      }
      if (n + u >= own.mine) continue;
      store(h[n + u], to_h);
      if (states.first) store(states[n + u], to_states);
    }
    for (int v = 0; blockDim.y == 1 && v < V; ++v) carry[v] = c[v];
  }

  own.write_state(p.last, carry);
  own.clear(p.h, p.steps * own.columns, own.columns, p.steps, own.column);
  if (p.states) own.clear(p.states, p.steps * own.columns, own.columns, p.steps, own.column);
}

// If gradients overwrite the gates, each thread has read a gate before it writes there: steps read ahead
// are always later steps of the same thread.
template <class T, int G, int U, int V>
__global__ void __launch_bounds__(kLanes* kWarps) backward(Backward<T> p) {
  using A = Arithmetic<T>;
  const Channels<V> own(p, true);
  const auto gates = own.rows(p.gates, p.gates_sentence, p.gates_step, own.gates_column);
  const auto by_gates =
      own.rows(p.by_gates, p.by_gates_sentence, p.by_gates_step, own.gates_column);
  const auto by_h = own.rows(p.by_h, p.by_h_sentence, p.by_h_step, own.column);
  const auto states = own.rows(p.states, p.steps);
  const auto keep = own.rows(p.keep, p.steps);
  const T* const c0 = p.c0 ? p.c0 + own.sentence * own.columns + own.column : nullptr;
  const auto fill = [&](int64_t n, Pack<T, V>(&to)[G + 2]) {
    for (int i = 0; i < G; ++i) to[i] = load<V>(gates[n] + i * p.width);
    to[G] = load<V>(by_h[n]);
    const T* before = n + 1 < own.length ? states[n + 1] : c0;
    if (before) to[G + 1] = load<V>(before);
  };

  A carry[V];
  own.read_state(p.by_last, carry);
  const int64_t stride = U * blockDim.y;
  int64_t n = U * threadIdx.y;
  Steps<T, G + 2, U, V> next;
  next.read(n, own.mine, keep, fill);
  for (int64_t start = 0; start < own.length; start += stride, n += stride) {
    const auto now = next;
    const uint32_t kept = now.kept();
    const auto stays = [=](int u, int v) { return bool(kept >> (u * V + v) & 1); };
    next.read(n + stride, own.mine, keep, fill);
    Gates<A> g[U][V];
#pragma unroll
    for (int u = 0; u < U; ++u)
      for (int v = 0; v < V; ++v) g[u][v] = activated<G>(now.at[u], v);
    const auto back = [&](int u, int v, A& x) {
      const A by = A(now.at[u][G][v]), before = A(now.at[u][G + 1][v]);
      return step_back<G>(g[u][v], before, by, stays(u, v), x);
    };
    A d[V];
    for (int v = 0; v < V; ++v) d[v] = carry[v];
    if (blockDim.y > 1) {
      A decay[V], gain[V];
      for (int v = 0; v < V; ++v) decay[v] = 1, gain[v] = 0;
#pragma unroll
      for (int u = 0; u < U; ++u)
        for (int v = 0; v < V; ++v) {
          decay[v] *= stays(u, v) ? A(1) : g[u][v].f;
          back(u, v, gain[v]);
        }
      pass_on(decay, gain, start / stride % 2, carry, d);
    }
#pragma unroll
    for (int u = 0; u < U; ++u) {
      Pack<T, V> to[G];
      for (int v = 0; v < V; ++v) {
        const Gates<A> by = back(u, v, d[v]);
        to[0].put(v, T(by.z)), to[1].put(v, T(by.f));
        if constexpr (G >= 3) to[2].put(v, T(by.o));
        if constexpr (G == 4) to[3].put(v, T(by.i));
      }
      if (n + u >= own.mine) continue;
      for (int i = 0; i < G; ++i) store(by_gates[n + u] + i * p.width, to[i]);
    }
    for (int v = 0; blockDim.y == 1 && v < V; ++v) carry[v] = d[v];
  }

  own.write_state(p.by_c0, carry);
  for (int i = 0; i < G; ++i)
    own.clear(p.by_gates, p.by_gates_sentence, p.by_gates_step, p.steps,
              own.gates_column + i * p.width);
}

bool even(std::initializer_list<int64_t> strides, std::initializer_list<const void*> pointers) {
  return std::none_of(strides.begin(), strides.end(), [](int64_t x) { return x % 2; }) &&
         std::none_of(pointers.begin(), pointers.end(),
                      [](const void* x) { return reinterpret_cast<uintptr_t>(x) % 4; });
}

// Whether two 16-bit channels can be read and written as one word.
template <class T>
bool pairs(const Forward<T>& p) {
  return even({p.width, p.gates_sentence, p.gates_step},
              {p.gates, p.c0, p.keep, p.h, p.last, p.states});
}

template <class T>
bool pairs(const Backward<T>& p) {
  return even({p.width, p.gates_sentence, p.gates_step, p.by_h_sentence, p.by_h_step,
               p.by_gates_sentence, p.by_gates_step},
              {p.gates, p.c0, p.keep, p.states, p.by_h, p.by_last, p.by_gates, p.by_c0});
}

// Steps that a thread reads ahead: as many as fit into its registers.
template <class T, int G, int V>
constexpr int kForwardSteps = (sizeof(T) == 8 ? 10 : V == 2 ? 16 : 24) / G;
template <class T, int G, int V>
constexpr int kBackwardSteps = (sizeof(T) == 8 ? 4 : V == 2 ? 9 : 12) / G;

// One thread per channel. If channels alone do not saturate memory bandwidth, warps share the steps.
// Their number is a power of two, so that blocks of any size fill the registers.
template <class P>
cudaError_t launch(void (*kernel)(P), P p, int channels, int steps, int bytes, int told, void* stream) {
  const int64_t under_way = p.sentences * p.row() * steps * bytes;
  int warps = 1;
  while (warps < kWarps && warps * steps < p.steps && 2 * warps * under_way <= kUnderWay) warps *= 2;
  const int64_t blocks = p.sentences * ((p.row() + channels - 1) / channels);
  void* arguments[] = {&p};
  return cudaLaunchKernel(kernel, dim3(blocks), dim3(kLanes, warps), arguments,
                          warps > 1 ? 2 * warps * told : 0, static_cast<cudaStream_t>(stream));
}

template <int G, int V, class T>
cudaError_t start(const Forward<T>& p, void* stream) {
  constexpr int U = kForwardSteps<T, G, V>;
  return launch(forward<T, G, U, V>, p, kLanes * V, U, G * sizeof(T),
                sizeof(Told<Arithmetic<T>, V>), stream);
}

template <int G, int V, class T>
cudaError_t start(const Backward<T>& p, void* stream) {
  constexpr int U = kBackwardSteps<T, G, V>;
  return launch(backward<T, G, U, V>, p, kLanes * V, U, (G + 2) * sizeof(T),
                sizeof(Told<Arithmetic<T>, V>), stream);
}

template <int V, class P>
cudaError_t by_count(const P& p, void* stream) {
  switch (p.count) {
    case 2: return start<2, V>(p, stream);
    case 3: return start<3, V>(p, stream);
    default: return start<4, V>(p, stream);
  }
}

template <template <class> class Pass, class T>
cudaError_t by_width(const void* pass, void* stream) {
  const auto& p = *static_cast<const Pass<T>*>(pass);
  if constexpr (sizeof(T) == 2)
    if (pairs(p)) return by_count<2>(p, stream);
  return by_count<1>(p, stream);
}

template <template <class> class Pass>
cudaError_t by_type(const void* pass, MtlType type, void* stream) {
  switch (type) {
    case kMtlFloat: return by_width<Pass, float>(pass, stream);
    case kMtlDouble: return by_width<Pass, double>(pass, stream);
    case kMtlBFloat16: return by_width<Pass, __nv_bfloat16>(pass, stream);
    default: return by_width<Pass, __half>(pass, stream);
  }
}

}  // namespace
}  // namespace mtl

extern "C" int mtl_cuda_forward(const void* pass, MtlType type, void* stream) {
  return mtl::by_type<mtl::Forward>(pass, type, stream);
}

extern "C" int mtl_cuda_backward(const void* pass, MtlType type, void* stream) {
  return mtl::by_type<mtl::Backward>(pass, type, stream);
}
