// mtl::pool and mtl::pool_backward for the CPU. Their schemas stand in mtl/ops/pool.py; as soon as
// this library is loaded, the dispatcher takes these for tensors on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <tuple>

#include "isa.h"
#include "pool.h"

namespace {

using mtl::Backward;
using mtl::Batch;
using mtl::Forward;
using mtl::Isa;
using mtl::isa;
using mtl::kBlock;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using MaybeTensor = std::optional<Tensor>;

template <class T>
void run(const Forward<T>& p, int64_t sentence, int64_t first, int64_t end) {
#ifdef __x86_64__
  if (isa() == Isa::kAvx512) return mtl::avx512::forward(p, sentence, first, end);
  if (isa() == Isa::kAvx2) return mtl::avx2::forward(p, sentence, first, end);
#endif
  mtl::base::forward(p, sentence, first, end);
}

template <class T>
void run(const Backward<T>& p, int64_t sentence, int64_t first, int64_t end) {
#ifdef __x86_64__
  if (isa() == Isa::kAvx512) return mtl::avx512::backward(p, sentence, first, end);
  if (isa() == Isa::kAvx2) return mtl::avx2::backward(p, sentence, first, end);
#endif
  mtl::base::backward(p, sentence, first, end);
}

// Sentences are shared out to torch's threads; where there are fewer of them than threads, so are
// blocks of channels. Blocks begin at multiples of 64 channels, so that each channel goes through the
// same instructions however many threads there are.
template <class Pass>
void run_all(const Pass& p, int64_t sentences) {
  const int64_t threads = torch::stable::get_num_threads();
  const int64_t wanted = sentences < threads ? (threads + sentences - 1) / sentences : 1;
  const int64_t share = ((p.width + wanted - 1) / wanted + 63) / 64 * 64;
  const int64_t block = std::min(share, kBlock);
  const int64_t blocks = (p.width + block - 1) / block;
  const int64_t work = std::max<int64_t>(1, p.steps * block);
  torch::stable::parallel_for(
      0, sentences * blocks, std::max<int64_t>(1, 16384 / work), [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; ++task) {
          const int64_t first = task % blocks * block;
          run(p, task / blocks, first, std::min(first + block, p.width));
        }
      });
}

// With channels side by side; sentences and steps may stand anywhere.
Tensor rows(const Tensor& x) {
  return x.stride(2) == 1 ? x : torch::stable::contiguous(x);
}

MaybeTensor contiguous(const MaybeTensor& x) {
  if (!x) return x;
  return torch::stable::contiguous(*x);
}

template <class T>
const T* data(const MaybeTensor& x) {
  return x ? x->const_data_ptr<T>() : nullptr;
}

void expect(const char* name, const Tensor& x, ScalarType type, std::initializer_list<int64_t> shape) {
  bool fits = x.is_cpu() && x.scalar_type() == type && x.dim() == int64_t(shape.size());
  for (int64_t i = 0; fits && i < x.dim(); ++i) fits = x.size(i) == shape.begin()[i];
  STD_TORCH_CHECK(fits, "mtl::pool: ", name, " does not fit the gates in shape, type or device");
}

// The inputs that both passes share, checked and laid out.
struct Inputs {
  Tensor gates;
  MaybeTensor c0, lengths, keep;
  int64_t sentences, steps, width, count;

  Inputs(const Tensor& gates_, const MaybeTensor& c0_, const MaybeTensor& lengths_,
         const MaybeTensor& keep_, int64_t count_)
      : gates(gates_), count(count_) {
    STD_TORCH_CHECK(count >= 2 && count <= 4, "mtl::pool: expected 2, 3 or 4 gates, got ", count);
    STD_TORCH_CHECK(gates.dim() == 3 && gates.size(2) % count == 0,
                    "mtl::pool: expected gates [B, T, ", count, "·H]");
    sentences = gates.size(0), steps = gates.size(1), width = gates.size(2) / count;
    if (c0_) expect("c0", *c0_, gates.scalar_type(), {sentences, width});
    if (lengths_) expect("lengths", *lengths_, ScalarType::Long, {sentences});
    if (keep_) expect("keep", *keep_, ScalarType::Bool, {sentences, steps, width});
    gates = rows(gates), c0 = contiguous(c0_), lengths = contiguous(lengths_);
    keep = contiguous(keep_);
  }

  template <class T>
  Batch<T> batch(bool reverse) const {
    return {steps,           width,          count,
            reverse,         gates.const_data_ptr<T>(),
            gates.stride(0), gates.stride(1), data<T>(c0), data<int64_t>(lengths),
            data<bool>(keep)};
  }

  Tensor empty(std::initializer_list<int64_t> shape) const {
    return torch::stable::new_empty(gates, shape);
  }

  // Calls `pass` with a null pointer of the type of the gates, unless there is nothing to do.
  template <class Pass>
  void dispatch(const Pass& pass) const {
    if (sentences == 0 || width == 0) return;
    switch (gates.scalar_type()) {
      case ScalarType::Float: return pass(static_cast<float*>(nullptr));
      case ScalarType::Double: return pass(static_cast<double*>(nullptr));
      case ScalarType::BFloat16: return pass(static_cast<c10::BFloat16*>(nullptr));
      case ScalarType::Half: return pass(static_cast<c10::Half*>(nullptr));
      default: STD_TORCH_CHECK(false, "mtl::pool: gates must be floating point");
    }
  }
};

std::tuple<Tensor, Tensor, Tensor> pool(Tensor gates, MaybeTensor c0, MaybeTensor lengths,
                                        MaybeTensor keep, int64_t count, bool reverse, bool save) {
  const Inputs in(gates, c0, lengths, keep, count);
  Tensor h = in.empty({in.sentences, in.steps, in.width});
  Tensor last = in.empty({in.sentences, in.width});
  // Without an output gate h is the state.
  const bool apart = save && count > 2;
  Tensor states = apart ? in.empty({in.sentences, in.steps, in.width}) : in.empty({0});
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Forward<T> p{in.batch<T>(reverse), h.mutable_data_ptr<T>(), last.mutable_data_ptr<T>(),
                       apart ? states.mutable_data_ptr<T>() : nullptr};
    run_all(p, in.sentences);
  });
  return {h, last, states};
}

std::tuple<Tensor, Tensor> pool_backward(Tensor by_h, Tensor by_last, Tensor gates, MaybeTensor c0,
                                         MaybeTensor lengths, MaybeTensor keep, Tensor states,
                                         int64_t count, bool reverse) {
  const Inputs in(gates, c0, lengths, keep, count);
  const ScalarType type = gates.scalar_type();
  expect("states", states, type, {in.sentences, in.steps, in.width});
  expect("by_h", by_h, type, {in.sentences, in.steps, in.width});
  expect("by_last", by_last, type, {in.sentences, in.width});
  by_h = rows(by_h), by_last = torch::stable::contiguous(by_last);
  states = torch::stable::contiguous(states);
  Tensor by_gates = in.empty({in.sentences, in.steps, count * in.width});
  Tensor by_c0 = in.empty({in.sentences, in.width});
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Backward<T> p{in.batch<T>(reverse),           states.const_data_ptr<T>(),
                        by_h.const_data_ptr<T>(),       by_h.stride(0),
                        by_h.stride(1),                 by_last.const_data_ptr<T>(),
                        by_gates.mutable_data_ptr<T>(), by_c0.mutable_data_ptr<T>()};
    run_all(p, in.sentences);
  });
  return {by_gates, by_c0};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mtl, CPU, m) {
  m.impl("pool", TORCH_BOX(&pool));
  m.impl("pool_backward", TORCH_BOX(&pool_backward));
}

// For `python -m mtl.ops`.
extern "C" __attribute__((visibility("default"))) const char* mtl_build() {
  return MTL_BUILD;
}
