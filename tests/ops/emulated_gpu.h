// As much of CUDA as csrc/cuda/pool.cu needs, on the processor: for tests where there is no GPU.
//
// The threads of a block are fibres, run one after another from barrier to barrier, in an order drawn
// anew each time, so that what is read before all have written it comes out wrong.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#define __global__
#define __device__
#define __shared__
#define __launch_bounds__(...)

using cudaError_t = int;
using cudaStream_t = void*;

struct dim3 {
  unsigned x, y;

  dim3(unsigned x = 1, unsigned y = 1) : x(x), y(y) {}
};

inline dim3 threadIdx, blockIdx, blockDim;

struct __nv_bfloat16 {
  uint16_t bits;

  __nv_bfloat16() = default;
  explicit __nv_bfloat16(float x) {
    uint32_t full;
    std::memcpy(&full, &x, sizeof full);
    bits = x != x ? 0x7fc0 : (full + 0x7fff + (full >> 16 & 1)) >> 16;
  }
  explicit operator float() const {
    const uint32_t full = uint32_t(bits) << 16;
    float x;
    std::memcpy(&x, &full, sizeof x);
    return x;
  }
};

using __half = _Float16;

constexpr size_t kShared = 48 << 10;
alignas(16) inline unsigned char mtl_shared[kShared];

namespace emulated {

struct Fibre {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStack]};
  dim3 index;
  bool done;
  static constexpr size_t kStack = 1 << 16;
};

inline ucontext_t scheduler;
inline Fibre* running;
inline std::function<void()> kernel;

inline void run() {
  kernel();
  running->done = true;
}

// Whether all threads came to each barrier.
inline bool run_block(std::vector<Fibre>& threads, std::mt19937& random) {
  for (size_t i = 0; i < threads.size(); ++i) {
    Fibre& thread = threads[i];
    thread.index = dim3(i % blockDim.x, i / blockDim.x);
    thread.done = false;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.get();
    thread.context.uc_stack.ss_size = Fibre::kStack;
    thread.context.uc_link = &scheduler;
    makecontext(&thread.context, run, 0);
  }
  std::vector<Fibre*> order;
  for (Fibre& thread : threads) order.push_back(&thread);
  for (;;) {
    std::shuffle(order.begin(), order.end(), random);
    for (Fibre* thread : order) {
      running = thread, threadIdx = thread->index;
      swapcontext(&scheduler, &thread->context);
    }
    const auto done = std::count_if(order.begin(), order.end(), [](Fibre* t) { return t->done; });
    if (done) return size_t(done) == order.size();
  }
}

}  // namespace emulated

inline void __syncthreads() {
  swapcontext(&emulated::running->context, &emulated::scheduler);
}

template <class P>
cudaError_t cudaLaunchKernel(void (*kernel)(P), dim3 grid, dim3 block, void** arguments,
                             size_t shared, cudaStream_t) {
  const P& given = *static_cast<P*>(arguments[0]);
  emulated::kernel = [&] { kernel(given); };
  std::vector<emulated::Fibre> threads(block.x * block.y);
  std::mt19937 random(1);
  blockDim = block;
  std::fill_n(mtl_shared, kShared, 0xff);
  for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x)
    if (!emulated::run_block(threads, random)) return 719;  // a launch that failed
  const bool more = std::any_of(mtl_shared + shared, mtl_shared + kShared,
                                [](unsigned char x) { return x != 0xff; });
  return more ? 700 : 0;  // memory that is not its own
}
