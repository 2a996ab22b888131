// The batch of a CRF operator of torch: its arguments, checked and laid out.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <initializer_list>
#include <optional>
#include <stdexcept>

#include "crf_batch.h"

namespace mtl::crf {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using MaybeTensor = std::optional<Tensor>;

// Makes a tensor contiguous. The check avoids the cost of a call that copies nothing.
inline Tensor packed(const Tensor& x) {
  return x.is_contiguous() ? x : torch::stable::contiguous(x);
}

inline void expect(const char* name, const Tensor& x, ScalarType type, std::initializer_list<int64_t> shape) {
  bool fits = x.is_cpu() && x.scalar_type() == type && x.dim() == int64_t(shape.size());
  for (int64_t i = 0; fits && i < x.dim(); ++i) fits = x.size(i) == shape.begin()[i];
  STD_TORCH_CHECK(fits, "mtl::crf: ", name, " does not fit the emissions in shape, type or device");
}

constexpr const char* kHole =
    "mask: expected the real tokens of a sentence first, padding after them; leave the tokens out "
    "that are not to count";

// The arguments that all operators share, checked and laid out.
struct Inputs {
  Tensor emissions, transitions, start, end;
  int64_t sentences, steps, labels;
  std::vector<int64_t> lengths;

  Inputs(const Tensor& emissions_, const Tensor& transitions_, const Tensor& start_,
         const Tensor& end_, const Tensor& mask)
      : emissions(emissions_), transitions(packed(transitions_)),
        start(packed(start_)), end(packed(end_)) {
    STD_TORCH_CHECK(emissions.dim() == 3 && emissions.size(2) > 0,
                    "mtl::crf: expected emissions [B, T, K]");
    sentences = emissions.size(0), steps = emissions.size(1), labels = emissions.size(2);
    expect("transitions", transitions, emissions.scalar_type(), {labels, labels});
    expect("start", start, emissions.scalar_type(), {labels});
    expect("end", end, emissions.scalar_type(), {labels});
    expect("mask", mask, ScalarType::Bool, {sentences, steps});
    if (emissions.stride(2) != 1) emissions = packed(emissions);
    const Tensor real = packed(mask);
    const bool* row = real.const_data_ptr<bool>();
    lengths.reserve(sentences);
    for (int64_t b = 0; b < sentences; ++b, row += steps) {
      const bool* padding = std::find(row, row + steps, false);
      // Becomes a ValueError in Python.
      if (std::find(padding, row + steps, true) != row + steps) throw std::invalid_argument(kHole);
      lengths.push_back(padding - row);
    }
  }

  template <class T>
  View<T> view() const {
    return {{labels, transitions.const_data_ptr<T>(), start.const_data_ptr<T>(), end.const_data_ptr<T>()},
            sentences,
            steps,
            emissions.const_data_ptr<T>(),
            emissions.stride(0),
            emissions.stride(1),
            lengths.data()};
  }

  Tensor empty(std::initializer_list<int64_t> shape) const {
    int32_t type;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(emissions.get(), &type));
    return empty(shape, type);
  }

  // Faster than torch::stable::new_empty.
  static Tensor empty(std::initializer_list<int64_t> shape, int32_t type) {
    int64_t strides[3] = {1, 1, 1};
    for (int64_t i = shape.size() - 1; i > 0; --i)
      strides[i - 1] = strides[i] * std::max<int64_t>(1, shape.begin()[i]);
    AtenTensorHandle made;
    TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(shape.size(), shape.begin(), strides, type,
                                                    aoti_torch_device_type_cpu(), 0, &made));
    return Tensor(made);
  }

  // Calls `pass` with a null pointer of the type of the emissions.
  template <class Pass>
  void dispatch(const Pass& pass) const {
    switch (emissions.scalar_type()) {
      case ScalarType::Float: return pass(static_cast<float*>(nullptr));
      case ScalarType::Double: return pass(static_cast<double*>(nullptr));
      default: STD_TORCH_CHECK(false, "mtl::crf: emissions must be float32 or float64");
    }
  }
};

// The checked labels of the paths, [B, T].
class Paths {
 public:
  Paths(const MaybeTensor& paths, const Inputs& in) : steps_(in.steps) {
    if (!paths) return;
    expect("paths", *paths, ScalarType::Long, {in.sentences, in.steps});
    paths_ = packed(*paths);
    labels_ = paths_->const_data_ptr<int64_t>();
    for (int64_t b = 0; b < in.sentences; ++b)
      for (const int64_t *label = at(b), *end = label + in.lengths[b]; label < end; ++label)
        STD_TORCH_CHECK(*label >= 0 && *label < in.labels, "mtl::crf: expected labels below ",
                        in.labels, ", got ", *label);
  }
  explicit operator bool() const { return labels_; }
  const int64_t* at(int64_t b) const { return labels_ + b * steps_; }

 private:
  int64_t steps_;
  MaybeTensor paths_;
  const int64_t* labels_ = nullptr;
};

// Distributes the tasks of a batch to torch's threads.
struct Threads {
  template <class Pass>
  static void run(int64_t tasks, int64_t grain, const Pass& pass) {
    torch::stable::parallel_for(0, tasks, grain, pass);
  }
};

}  // namespace mtl::crf
