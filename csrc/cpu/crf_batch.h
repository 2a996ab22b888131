// The batch of a CRF operator: checked, laid out, and distributed to threads.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "crf.h"
#include "crf_log.h"
#include "isa.h"

namespace mtl::crf {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using MaybeTensor = std::optional<Tensor>;

template <class T>
const CrfLoops<T>& loops() {
#ifdef __x86_64__
  static const CrfLoops<T> chosen = isa() == Isa::kAvx512 ? avx512::crf_loops<T>()
                                    : isa() == Isa::kAvx2 ? avx2::crf_loops<T>()
                                                               : base::crf_loops<T>();
#else
  static const CrfLoops<T> chosen = base::crf_loops<T>();
#endif
  return chosen;
}

// Uninitialised numbers, aligned to a cache line.
template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t count)
      : data_(static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(64)))) {}
  T* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* data) const { ::operator delete(data, std::align_val_t(64)); }
  };
  std::unique_ptr<T, Free> data_;
};

// Makes a tensor contiguous. The check avoids the cost of a call that copies nothing.
inline Tensor packed(const Tensor& x) {
  return x.is_contiguous() ? x : torch::stable::contiguous(x);
}

inline void expect(const char* name, const Tensor& x, ScalarType type, std::initializer_list<int64_t> shape) {
  bool fits = x.is_cpu() && x.scalar_type() == type && x.dim() == int64_t(shape.size());
  for (int64_t i = 0; fits && i < x.dim(); ++i) fits = x.size(i) == shape.begin()[i];
  STD_TORCH_CHECK(fits, "mtl::crf: ", name, " does not fit the emissions in shape, type or device");
}

// The least work that is worth starting a thread: tens of microseconds.
constexpr int64_t kWorth = 2'000'000;

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

// The data of a pass over a batch. kSums: for sums over paths, else for the best path.
template <class T, bool kSums>
struct Batch {
  const Inputs& in;
  const CrfLoops<T>& run = loops<T>();
  const Scores<T> scores;
  const T* emissions;
  int64_t sentence_stride, step_stride;
  Ready<T> ready{};
  Buffer<T> rows;

  explicit Batch(const Inputs& in_)
      : in(in_),
        scores{in.labels, in.transitions.const_data_ptr<T>(), in.start.const_data_ptr<T>(),
               in.end.const_data_ptr<T>()},
        emissions(in.emissions.const_data_ptr<T>()), sentence_stride(in.emissions.stride(0)),
        step_stride(in.emissions.stride(1)), rows(Ready<T>::size(in.labels, row())) {
    const int64_t row = this->row();
    T* next = rows.get();
    const auto take = [&](int64_t count) { return std::exchange(next, next + count * row); };
    ready.labels = in.labels, ready.row = row;
    for (T** one : {&ready.start, &ready.end, &ready.column, &ready.most, &ready.least})
      *one = take(1);
    ready.moves = take(in.labels), ready.moves_back = take(in.labels);
    (kSums ? run.prepare_sums : run.prepare_best)(scores, ready);
  }

  int64_t row() const {
    const int64_t lanes = vector_bytes() / sizeof(T);
    return (in.labels + lanes - 1) / lanes * lanes;
  }
  Sentence<T> sentence(int64_t b) const {
    return {emissions + b * sentence_stride, in.lengths[b], step_stride};
  }
  int64_t rows_of_scratch() const { return (kCounted + 2) * ready.row; }

  // Calls pass(task, scratch) for each task, in torch's threads if there is enough work. A task has
  // `sentences` sentences and `numbers` numbers of scratch.
  template <class Pass>
  void for_all(int64_t tasks, int64_t sentences, int64_t numbers, const Pass& pass) const {
    const int64_t work = std::max<int64_t>(1, sentences * in.steps * (ready.row * in.labels + 320));
    torch::stable::parallel_for(
        0, tasks, std::max<int64_t>(1, kWorth / work), [&](int64_t begin, int64_t end) {
          const Buffer<T> scratch(numbers);
          for (int64_t task = begin; task < end; ++task) pass(task, scratch.get());
        });
  }

  // Calls pass(begin, end, scratch) for all sentences, a few at a time.
  template <class Pass>
  void for_sentences(int64_t numbers, const Pass& pass) const {
    const int64_t some = std::clamp<int64_t>(in.sentences / 8, 1, kTogether);
    for_all((in.sentences + some - 1) / some, some, numbers, [&](int64_t task, T* scratch) {
      pass(task * some, std::min((task + 1) * some, in.sentences), scratch);
    });
  }

  // Whether underflow may have changed the partition within the precision of the type. Terms below its
  // smallest number are lost; each is weighted by the sum over its continuations.
  bool doubtful(const Sums<T>& sums, T* scratch) const {
    using Limits = std::numeric_limits<T>;
    const double most = 0.01 * double(Limits::epsilon()) / double(Limits::min());
    const double numbers = double(sums.sentence.length) * in.labels;
    // The sums over continuations of two labels differ by a factor of at most e^spread; a scale is at
    // least e^-spread.
    if (numbers * std::exp(2 * ready.spread) <= most) return false;
    return !(run.lost(ready, sums, scratch) <= most);
  }

  // Computes the log partitions of some sentences. A first scale of 0 marks a_t and s_t as invalid.
  void partitions(int64_t begin, int64_t end, T* alphas, T* scales, double* found,
                  T* scratch) const {
    Sums<T> sums[kTogether];
    for (int64_t b = begin; b < end; ++b, alphas += in.steps * in.labels, scales += in.steps) {
      const Sentence<T> sentence = this->sentence(b);
      std::fill(alphas + sentence.length * in.labels, alphas + in.steps * in.labels, T(0));
      std::fill(scales + sentence.length, scales + in.steps, T(1));
      sums[b - begin] = {sentence, alphas, scales};
    }
    run.forward(ready, sums, end - begin, scratch);
    for (const Sums<T>* sum = sums; sum < sums + (end - begin); ++sum) {
      double& partition = *found++;
      partition = sum->log_sum;
      if (sum->sentence.length == 0) continue;
      if (std::isfinite(partition) && !doubtful(*sum, scratch)) continue;
      sum->scales[0] = 0;
      std::vector<double> logs(sum->sentence.length * in.labels);
      partition = log_forward(scores, sum->sentence, logs.data());
    }
  }

  // The score of a path.
  double score(int64_t b, const int64_t* path) const {
    const Sentence<T> sentence = this->sentence(b);
    if (sentence.length == 0) return 0;
    double sum = double(scores.start[path[0]]) + double(scores.end[path[sentence.length - 1]]);
    for (int64_t t = 0; t < sentence.length; ++t) {
      sum += sentence.at(t)[path[t]];
      if (t) sum += scores.transitions[path[t - 1] * in.labels + path[t]];
    }
    return sum;
  }

  // Writes factor · marginals, zero on padding. Adds the transitions still to be multiplied by the moves
  // to `counts` [K, row], and all others to `exact` [K, K]. Either may be null.
  void marginals(int64_t b, const T* alphas, const T* scales, T factor, T* by_emissions, T* counts,
                 double* exact, T* scratch) const {
    const Sentence<T> sentence = this->sentence(b);
    const int64_t real = sentence.length * in.labels;
    std::fill(by_emissions + real, by_emissions + in.steps * in.labels, T(0));
    if (sentence.length == 0) return;
    if (scales[0] == 0) return log_backward(scores, sentence, factor, by_emissions, exact);
    run.backward(ready, sentence, alphas, scales, factor, by_emissions, counts, scratch);
  }
};

}  // namespace mtl::crf
