// mtl::pool and mtl::pool_backward for the CPU. Their schemas stand in mtl/ops/pool.py; as soon as
// this library is loaded, the dispatcher takes these for tensors on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdlib>
#include <optional>
#include <string_view>
#include <tuple>

#include "pool.h"

namespace {

using mtl::Backward;
using mtl::Batch;
using mtl::Forward;
using mtl::kBlock;
using mtl::Part;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using MaybeTensor = std::optional<Tensor>;

enum Isa { kBase, kAvx2, kAvx512 };
constexpr const char* kNames[] = {"base", "avx2", "avx512"};

// The best instruction set that the processor has and MTL_ISA, where it names one, allows.
Isa choose() {
  Isa best = kBase;
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    best = kAvx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
      best = kAvx512;
  }
#endif
  const char* asked = std::getenv("MTL_ISA");
  for (int isa = kBase; asked && isa < best; ++isa)
    if (std::string_view(asked) == kNames[isa]) return Isa(isa);
  return best;
}

Isa isa() {
  static const Isa chosen = choose();
  return chosen;
}

template <class T>
void run(const Forward<T>& p, const Part& part) {
#ifdef __x86_64__
  if (isa() == kAvx512) return mtl::avx512::forward(p, part);
  if (isa() == kAvx2) return mtl::avx2::forward(p, part);
#endif
  mtl::base::forward(p, part);
}

template <class T>
void run(const Backward<T>& p, const Part& part) {
#ifdef __x86_64__
  if (isa() == kAvx512) return mtl::avx512::backward(p, part);
  if (isa() == kAvx2) return mtl::avx2::backward(p, part);
#endif
  mtl::base::backward(p, part);
}

// Directions of sentences are shared out to torch's threads; where there are fewer of them than
// threads, so are blocks of channels. Blocks begin at multiples of 64 channels, so that each channel
// goes through the same instructions however many threads there are.
template <class Pass>
void run_all(const Pass& p, int64_t sentences) {
  const int64_t threads = torch::stable::get_num_threads(), rows = sentences * p.directions;
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
  int64_t sentences, steps, width, count, directions;

  Inputs(const Tensor& gates_, const MaybeTensor& c0_, const MaybeTensor& lengths_,
         const MaybeTensor& keep_, int64_t count_, int64_t directions_)
      : gates(gates_), count(count_), directions(directions_) {
    STD_TORCH_CHECK(count >= 2 && count <= 4, "mtl::pool: expected 2, 3 or 4 gates, got ", count);
    STD_TORCH_CHECK(directions == 1 || directions == 2, "mtl::pool: expected 1 or 2 directions");
    STD_TORCH_CHECK(gates.dim() == 3 && gates.size(2) % (count * directions) == 0,
                    "mtl::pool: expected gates [B, T, ", count * directions, "·H]");
    sentences = gates.size(0), steps = gates.size(1), width = gates.size(2) / count / directions;
    if (c0_) expect("c0", *c0_, gates.scalar_type(), {sentences, row()});
    if (lengths_) expect("lengths", *lengths_, ScalarType::Long, {sentences});
    if (keep_) expect("keep", *keep_, ScalarType::Bool, {sentences, steps, row()});
    gates = rows(gates), c0 = contiguous(c0_), lengths = contiguous(lengths_);
    keep = contiguous(keep_);
  }

  int64_t row() const { return directions * width; }

  template <class T>
  Batch<T> batch(bool reverse) const {
    return {steps,           width,
            count,           directions,
            reverse,         gates.const_data_ptr<T>(),
            gates.stride(0), gates.stride(1),
            data<T>(c0),     data<int64_t>(lengths),
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
                                        MaybeTensor keep, int64_t count, bool reverse,
                                        int64_t directions, bool save) {
  const Inputs in(gates, c0, lengths, keep, count, directions);
  Tensor h = in.empty({in.sentences, in.steps, in.row()});
  Tensor last = in.empty({in.sentences, in.row()});
  // Without an output gate h is the state.
  const bool apart = save && count > 2;
  Tensor states = apart ? in.empty({in.sentences, in.steps, in.row()}) : in.empty({0});
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Forward<T> p{in.batch<T>(reverse), h.mutable_data_ptr<T>(), last.mutable_data_ptr<T>(),
                       apart ? states.mutable_data_ptr<T>() : nullptr};
    run_all(p, in.sentences);
  });
  return {h, last, states};
}

// Writes the gradient by the gates into `by_gates` and returns the one by c0.
Tensor back(Tensor by_h, Tensor by_last, const Inputs& in, Tensor states, Tensor by_gates,
            bool reverse) {
  const ScalarType type = in.gates.scalar_type();
  expect("states", states, type, {in.sentences, in.steps, in.row()});
  expect("by_h", by_h, type, {in.sentences, in.steps, in.row()});
  expect("by_last", by_last, type, {in.sentences, in.row()});
  by_h = rows(by_h), by_last = torch::stable::contiguous(by_last);
  states = torch::stable::contiguous(states);
  Tensor by_c0 = in.empty({in.sentences, in.row()});
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Backward<T> p{in.batch<T>(reverse),           states.const_data_ptr<T>(),
                        by_h.const_data_ptr<T>(),       by_h.stride(0),
                        by_h.stride(1),                 by_last.const_data_ptr<T>(),
                        by_gates.mutable_data_ptr<T>(), by_gates.stride(0),
                        by_gates.stride(1),             by_c0.mutable_data_ptr<T>()};
    run_all(p, in.sentences);
  });
  return by_c0;
}

std::tuple<Tensor, Tensor> pool_backward(Tensor by_h, Tensor by_last, Tensor gates, MaybeTensor c0,
                                         MaybeTensor lengths, MaybeTensor keep, Tensor states,
                                         int64_t count, bool reverse, int64_t directions) {
  const Inputs in(gates, c0, lengths, keep, count, directions);
  Tensor by_gates = in.empty({in.sentences, in.steps, gates.size(2)});
  Tensor by_c0 = back(by_h, by_last, in, states, by_gates, reverse);
  return {by_gates, by_c0};
}

Tensor pool_backward_in_place(Tensor by_h, Tensor by_last, Tensor gates, MaybeTensor c0,
                              MaybeTensor lengths, MaybeTensor keep, Tensor states, int64_t count,
                              bool reverse, int64_t directions) {
  STD_TORCH_CHECK(gates.dim() == 3 && gates.stride(2) == 1,
                  "mtl::pool_backward_: the channels of gates must stand side by side");
  return back(by_h, by_last, {gates, c0, lengths, keep, count, directions}, states, gates, reverse);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mtl, CPU, m) {
  m.impl("pool", TORCH_BOX(&pool));
  m.impl("pool_backward", TORCH_BOX(&pool_backward));
  m.impl("pool_backward_", TORCH_BOX(&pool_backward_in_place));
}

// For `python -m mtl.ops`.
extern "C" __attribute__((visibility("default"))) const char* mtl_instruction_set() {
  return kNames[isa()];
}
extern "C" __attribute__((visibility("default"))) const char* mtl_build() {
  return MTL_BUILD;
}
