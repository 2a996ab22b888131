// The pooling operators for any device: shape checks, allocation, and dispatch by type. Their schemas
// are in mtl/ops/pool.py.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <initializer_list>
#include <optional>
#include <tuple>
#include <type_traits>

#include "pool.h"

namespace mtl {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using MaybeTensor = std::optional<Tensor>;

// With contiguous channels; sentences and steps may have any stride.
inline Tensor rows(const Tensor& x) {
  return x.stride(2) == 1 ? x : torch::stable::contiguous(x);
}

inline MaybeTensor contiguous(const MaybeTensor& x) {
  if (!x) return x;
  return torch::stable::contiguous(*x);
}

template <class T>
const T* data(const MaybeTensor& x) {
  return x ? x->const_data_ptr<T>() : nullptr;
}

// The inputs that both passes share, checked and made contiguous where necessary.
struct Inputs {
  Tensor gates;
  MaybeTensor c0, lengths, keep;
  int64_t sentences, steps, width, count, directions;
  bool reverse;

  Inputs(const Tensor& gates_, const MaybeTensor& c0_, const MaybeTensor& lengths_,
         const MaybeTensor& keep_, int64_t count_, bool reverse_, int64_t directions_)
      : gates(gates_), count(count_), directions(directions_), reverse(reverse_) {
    STD_TORCH_CHECK(count >= 2 && count <= 4, "mtl::pool: expected 2, 3 or 4 gates, got ", count);
    STD_TORCH_CHECK(directions == 1 || directions == 2, "mtl::pool: expected 1 or 2 directions");
    STD_TORCH_CHECK(gates.dim() == 3 && gates.size(2) % (count * directions) == 0,
                    "mtl::pool: expected gates [B, T, ", count * directions, "·H]");
    sentences = gates.size(0), steps = gates.size(1), width = gates.size(2) / count / directions;
    if (c0_) expect("c0", *c0_, {sentences, row()});
    if (lengths_) expect("lengths", *lengths_, {sentences}, ScalarType::Long);
    if (keep_) expect("keep", *keep_, {sentences, steps, row()}, ScalarType::Bool);
    gates = rows(gates), c0 = contiguous(c0_), lengths = contiguous(lengths_);
    keep = contiguous(keep_);
  }

  int64_t row() const { return directions * width; }

  // On the device of the gates; by default also of their type.
  void expect(const char* name, const Tensor& x, std::initializer_list<int64_t> shape,
              std::optional<ScalarType> type = {}) const {
    bool fits = x.device() == gates.device() && x.dim() == int64_t(shape.size()) &&
                x.scalar_type() == type.value_or(gates.scalar_type());
    for (int64_t i = 0; fits && i < x.dim(); ++i) fits = x.size(i) == shape.begin()[i];
    STD_TORCH_CHECK(fits, "mtl::pool: ", name, " does not fit the gates in shape, type or device");
  }

  template <class T>
  Batch<T> batch() const {
    return {sentences,       steps,           width,
            count,           directions,      reverse,
            gates.const_data_ptr<T>(),        gates.stride(0),
            gates.stride(1), data<T>(c0),     data<int64_t>(lengths),
            data<bool>(keep)};
  }

  Tensor empty(std::initializer_list<int64_t> shape) const {
    return torch::stable::new_empty(gates, shape);
  }

  // Calls `pass` with a null pointer of the type of the gates, unless the batch is empty.
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

// Device provides `run(pass, device)` for a Forward or a Backward of any type.
template <class Device>
struct Operators {
  static std::tuple<Tensor, Tensor, Tensor> pool(Tensor gates, MaybeTensor c0, MaybeTensor lengths,
                                                 MaybeTensor keep, int64_t count, bool reverse,
                                                 int64_t directions, bool save) {
    const Inputs in(gates, c0, lengths, keep, count, reverse, directions);
    Tensor h = in.empty({in.sentences, in.steps, in.row()});
    Tensor last = in.empty({in.sentences, in.row()});
    // Without an output gate, h is the state.
    const bool apart = save && count > 2;
    Tensor states = apart ? in.empty({in.sentences, in.steps, in.row()}) : in.empty({0});
    in.dispatch([&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      const Forward<T> p{in.batch<T>(), h.mutable_data_ptr<T>(), last.mutable_data_ptr<T>(),
                         apart ? states.mutable_data_ptr<T>() : nullptr};
      Device::run(p, in.gates);
    });
    return {h, last, states};
  }

  static std::tuple<Tensor, Tensor> pool_backward(Tensor by_h, Tensor by_last, Tensor gates,
                                                  MaybeTensor c0, MaybeTensor lengths,
                                                  MaybeTensor keep, Tensor states, int64_t count,
                                                  bool reverse, int64_t directions) {
    const Inputs in(gates, c0, lengths, keep, count, reverse, directions);
    Tensor by_gates = in.empty({in.sentences, in.steps, gates.size(2)});
    Tensor by_c0 = back(by_h, by_last, in, states, by_gates);
    return {by_gates, by_c0};
  }

  static Tensor pool_backward_in_place(Tensor by_h, Tensor by_last, Tensor gates, MaybeTensor c0,
                                       MaybeTensor lengths, MaybeTensor keep, Tensor states,
                                       int64_t count, bool reverse, int64_t directions) {
    STD_TORCH_CHECK(gates.dim() == 3 && gates.stride(2) == 1,
                    "mtl::pool_backward_: the channels of gates must stand side by side");
    const Inputs in(gates, c0, lengths, keep, count, reverse, directions);
    return back(by_h, by_last, in, states, gates);
  }

 private:
  // Writes the gradient with respect to the gates into `by_gates`; returns the one with respect to c0.
  static Tensor back(Tensor by_h, Tensor by_last, const Inputs& in, Tensor states, Tensor by_gates) {
    in.expect("states", states, {in.sentences, in.steps, in.row()});
    in.expect("by_h", by_h, {in.sentences, in.steps, in.row()});
    in.expect("by_last", by_last, {in.sentences, in.row()});
    by_h = rows(by_h), by_last = torch::stable::contiguous(by_last);
    states = torch::stable::contiguous(states);
    Tensor by_c0 = in.empty({in.sentences, in.row()});
    in.dispatch([&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      const Backward<T> p{in.batch<T>(),
                          states.const_data_ptr<T>(),
                          by_h.const_data_ptr<T>(),
                          by_h.stride(0),
                          by_h.stride(1),
                          by_last.const_data_ptr<T>(),
                          by_gates.mutable_data_ptr<T>(),
                          by_gates.stride(0),
                          by_gates.stride(1),
                          by_c0.mutable_data_ptr<T>()};
      Device::run(p, in.gates);
    });
    return by_c0;
  }
};

}  // namespace mtl
