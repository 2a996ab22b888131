// mtl::pool and mtl::pool_backward for the CPU. Their schemas are in mtl/ops/pool.py. Once this library
// is loaded, the dispatcher uses these kernels for tensors on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "../operators.h"
#include "isa.h"
#include "pool.h"

namespace {

using mtl::Backward;
using mtl::Forward;
using mtl::Isa;
using mtl::isa;
using mtl::kBlock;
using mtl::Part;
using torch::stable::Tensor;

template <class T>
void run(const Forward<T>& p, const Part& part) {
#ifdef __x86_64__
  if (isa() == Isa::kAvx512) return mtl::avx512::forward(p, part);
  if (isa() == Isa::kAvx2) return mtl::avx2::forward(p, part);
#endif
  mtl::base::forward(p, part);
}

template <class T>
void run(const Backward<T>& p, const Part& part) {
#ifdef __x86_64__
  if (isa() == Isa::kAvx512) return mtl::avx512::backward(p, part);
  if (isa() == Isa::kAvx2) return mtl::avx2::backward(p, part);
#endif
  mtl::base::backward(p, part);
}

// Distributes the directions of sentences to torch's threads. If there are fewer than threads, blocks of
// channels are distributed too. Blocks begin at multiples of 64 channels, so each channel goes through
// the same instructions for any number of threads.
template <class Pass>
void run_all(const Pass& p) {
  const int64_t threads = torch::stable::get_num_threads(), rows = p.sentences * p.directions;
  const int64_t wanted = rows < threads ? (threads + rows - 1) / rows : 1;
  const int64_t share = ((p.width + wanted - 1) / wanted + 63) / 64 * 64;
  const int64_t block = std::min(share, kBlock);
  const int64_t blocks = (p.width + block - 1) / block;
  const int64_t work = std::max<int64_t>(1, p.steps * block);
  torch::stable::parallel_for(
      0, rows * blocks, std::max<int64_t>(1, 16384 / work), [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; ++task) {
          const int64_t row = task / blocks, first = task % blocks * block;
          run(p, {row / p.directions, row % p.directions, first, std::min(first + block, p.width)});
        }
      });
}

struct Cpu {
  template <class Pass>
  static void run(const Pass& p, const Tensor&) {
    run_all(p);
  }
};

using Pool = mtl::Operators<Cpu>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mtl, CPU, m) {
  m.impl("pool", TORCH_BOX(&Pool::pool));
  m.impl("pool_backward", TORCH_BOX(&Pool::pool_backward));
  m.impl("pool_backward_", TORCH_BOX(&Pool::pool_backward_in_place));
}

// For `python -m mtl.ops`.
extern "C" __attribute__((visibility("default"))) const char* mtl_build() {
  return MTL_BUILD;
}
