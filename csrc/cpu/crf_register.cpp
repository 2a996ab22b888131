// The operators of the CRF for the CPU. Their schemas stand in mtl/ops/crf.py.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <tuple>
#include <vector>

#include "crf.h"
#include "crf_log.h"
#include "isa.h"

namespace {

using mtl::CrfLoops;
using mtl::Isa;
using mtl::Ready;
using mtl::Scores;
using mtl::Sentence;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using MaybeTensor = std::optional<Tensor>;

// What each thread sums up alone. Their number does not depend on that of the threads, so that sums
// are the same bit by bit.
constexpr int64_t kShares = 16;

template <class T>
const CrfLoops<T>& loops() {
#ifdef __x86_64__
  static const CrfLoops<T> chosen = mtl::isa() == Isa::kAvx512 ? mtl::avx512::crf_loops<T>()
                                    : mtl::isa() == Isa::kAvx2 ? mtl::avx2::crf_loops<T>()
                                                               : mtl::base::crf_loops<T>();
#else
  static const CrfLoops<T> chosen = mtl::base::crf_loops<T>();
#endif
  return chosen;
}

// Numbers that begin where a cache line does, not initialised.
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

void expect(const char* name, const Tensor& x, ScalarType type, std::initializer_list<int64_t> shape) {
  bool fits = x.is_cpu() && x.scalar_type() == type && x.dim() == int64_t(shape.size());
  for (int64_t i = 0; fits && i < x.dim(); ++i) fits = x.size(i) == shape.begin()[i];
  STD_TORCH_CHECK(fits, "mtl::crf: ", name, " does not fit the emissions in shape, type or device");
}

// The arguments that all operators share, checked and laid out.
struct Inputs {
  Tensor emissions, transitions, start, end;
  int64_t sentences, steps, labels;
  std::vector<int64_t> lengths;

  Inputs(const Tensor& emissions_, const Tensor& transitions_, const Tensor& start_,
         const Tensor& end_, const Tensor& mask)
      : emissions(emissions_), transitions(torch::stable::contiguous(transitions_)),
        start(torch::stable::contiguous(start_)), end(torch::stable::contiguous(end_)) {
    STD_TORCH_CHECK(emissions.dim() == 3 && emissions.size(2) > 0,
                    "mtl::crf: expected emissions [B, T, K]");
    sentences = emissions.size(0), steps = emissions.size(1), labels = emissions.size(2);
    expect("transitions", transitions, emissions.scalar_type(), {labels, labels});
    expect("start", start, emissions.scalar_type(), {labels});
    expect("end", end, emissions.scalar_type(), {labels});
    expect("mask", mask, ScalarType::Bool, {sentences, steps});
    if (emissions.stride(2) != 1) emissions = torch::stable::contiguous(emissions);
    const Tensor real = torch::stable::contiguous(mask);
    const bool* row = real.const_data_ptr<bool>();
    for (int64_t b = 0; b < sentences; ++b, row += steps)
      lengths.push_back(std::count(row, row + steps, true));
  }

  template <class T>
  Scores<T> scores() const {
    return {labels, transitions.const_data_ptr<T>(), start.const_data_ptr<T>(),
            end.const_data_ptr<T>()};
  }

  template <class T>
  Sentence<T> sentence(int64_t b) const {
    return {emissions.const_data_ptr<T>() + b * emissions.stride(0), lengths[b],
            emissions.stride(1)};
  }

  Tensor empty(std::initializer_list<int64_t> shape) const {
    return torch::stable::new_empty(emissions, shape);
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

// The labels of a path, [B, T], each of them checked.
class Paths {
 public:
  Paths(const MaybeTensor& paths, const Inputs& in) : steps_(in.steps) {
    if (!paths) return;
    expect("paths", *paths, ScalarType::Long, {in.sentences, in.steps});
    paths_ = torch::stable::contiguous(*paths);
    for (int64_t b = 0; b < in.sentences; ++b)
      for (int64_t t = 0; t < in.lengths[b]; ++t)
        STD_TORCH_CHECK(at(b)[t] >= 0 && at(b)[t] < in.labels, "mtl::crf: expected labels below ",
                        in.labels, ", got ", at(b)[t]);
  }
  explicit operator bool() const { return paths_.has_value(); }
  const int64_t* at(int64_t b) const { return paths_->const_data_ptr<int64_t>() + b * steps_; }

 private:
  int64_t steps_;
  MaybeTensor paths_;
};

// Everything that a pass over a batch needs. kSums: for sums over paths, else for the best path.
template <class T, bool kSums>
struct Batch {
  const Inputs& in;
  const CrfLoops<T>& run = loops<T>();
  Scores<T> scores = in.scores<T>();
  Ready<T> ready;
  Buffer<T> rows;

  explicit Batch(const Inputs& in_) : in(in_), rows(Ready<T>::size(in.labels, row())) {
    const int64_t row = this->row();
    T* at = rows.get();
    ready = {in.labels, row, at, at + row, at + 3 * row, at + (3 + in.labels) * row, at + 2 * row,
             0, 0};
    (kSums ? run.prepare_sums : run.prepare_best)(scores, ready);
  }

  int64_t row() const {
    const int64_t lanes = mtl::vector_bytes() / sizeof(T);
    return (in.labels + lanes - 1) / lanes * lanes;
  }
  int64_t scratch() const { return (mtl::kCounted + 3) * ready.row; }

  // Calls pass(task, scratch) for each task, shared out to torch's threads; `numbers` more of scratch.
  template <class Pass>
  void for_all(int64_t tasks, int64_t numbers, const Pass& pass) const {
    const int64_t work = std::max<int64_t>(1, in.steps * ready.row * in.labels);
    torch::stable::parallel_for(
        0, tasks, std::max<int64_t>(1, 32768 / work), [&](int64_t begin, int64_t end) {
          const Buffer<T> numbers_here(scratch() + numbers);
          for (int64_t task = begin; task < end; ++task) pass(task, numbers_here.get());
        });
  }

  // Whether underflow may have taken anything from the partition that the type could tell: terms
  // below its smallest number are lost, each weighing as much as what can follow it.
  bool doubtful(const Sentence<T>& sentence, const T* alphas, const T* scales, T* scratch) const {
    using Limits = std::numeric_limits<T>;
    const double most = 0.01 * double(Limits::epsilon()) / double(Limits::min());
    const double numbers = double(sentence.length) * in.labels;
    // Sums over what follows two labels differ by at most e^spread, a scale is at least e^-spread.
    if (numbers * std::exp(2 * ready.spread) <= most) return false;
    return !(run.lost(ready, sentence, alphas, scales, scratch) <= most);
  }

  // The log partition; a first scale of 0 says that a_t and s_t are of no use.
  double partition(int64_t b, T* alphas, T* scales, T* scratch) const {
    const Sentence<T> sentence = in.sentence<T>(b);
    if (sentence.length == 0) return 0;
    const double found = run.forward(ready, sentence, alphas, scales, scratch);
    if (std::isfinite(found) && !doubtful(sentence, alphas, scales, scratch)) return found;
    scales[0] = 0;
    std::vector<double> logs(sentence.length * in.labels);
    return mtl::log_forward(scores, sentence, logs.data());
  }

  // Writes factor · marginals, zero on padding. Adds to `counts` [K, row] what is still to be
  // multiplied by the moves, and to `exact` [K, K] what is not; null: not wanted.
  void marginals(int64_t b, const T* alphas, const T* scales, T factor, T* by_emissions, T* counts,
                 double* exact, T* scratch) const {
    const Sentence<T> sentence = in.sentence<T>(b);
    const int64_t real = sentence.length * in.labels;
    std::fill(by_emissions + real, by_emissions + in.steps * in.labels, T(0));
    if (sentence.length == 0) return;
    if (scales[0] == 0) return mtl::log_backward(scores, sentence, factor, by_emissions, exact);
    run.backward(ready, sentence, alphas, scales, factor, by_emissions, counts, scratch);
  }
};

template <class T>
double score(const Inputs& in, int64_t b, const int64_t* path) {
  const Scores<T> scores = in.scores<T>();
  const Sentence<T> sentence = in.sentence<T>(b);
  if (sentence.length == 0) return 0;
  double sum = double(scores.start[path[0]]) + double(scores.end[path[sentence.length - 1]]);
  for (int64_t t = 0; t < sentence.length; ++t) {
    sum += sentence.at(t)[path[t]];
    if (t) sum += scores.transitions[path[t - 1] * in.labels + path[t]];
  }
  return sum;
}

std::tuple<Tensor, Tensor, Tensor> crf_forward(Tensor emissions, Tensor transitions, Tensor start,
                                               Tensor end, Tensor mask, MaybeTensor path_labels,
                                               bool save) {
  const Inputs in(emissions, transitions, start, end, mask);
  const Paths paths(path_labels, in);
  const int64_t size = in.steps * in.labels;
  Tensor values = in.empty({in.sentences});
  Tensor alphas = save ? in.empty({in.sentences, in.steps, in.labels}) : in.empty({0});
  Tensor scales = save ? in.empty({in.sentences, in.steps}) : in.empty({0});
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Batch<T, true> batch(in);
    T* to = values.mutable_data_ptr<T>();
    T* saved_alphas = alphas.mutable_data_ptr<T>();
    T* saved_scales = scales.mutable_data_ptr<T>();
    batch.for_all(in.sentences, save ? 0 : size + in.steps, [&](int64_t b, T* scratch) {
      T* more = scratch + batch.scratch();
      const double partition =
          batch.partition(b, save ? saved_alphas + b * size : more,
                          save ? saved_scales + b * in.steps : more + size, scratch);
      to[b] = T(paths ? score<T>(in, b, paths.at(b)) - partition : partition);
    });
  });
  return {values, alphas, scales};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> crf_backward(
    Tensor by_values, Tensor emissions, Tensor transitions, Tensor start, Tensor end, Tensor mask,
    MaybeTensor path_labels, Tensor alphas, Tensor scales) {
  const Inputs in(emissions, transitions, start, end, mask);
  const Paths paths(path_labels, in);
  const int64_t labels = in.labels, size = in.steps * labels;
  expect("by_values", by_values, emissions.scalar_type(), {in.sentences});
  expect("alphas", alphas, emissions.scalar_type(), {in.sentences, in.steps, labels});
  expect("scales", scales, emissions.scalar_type(), {in.sentences, in.steps});
  by_values = torch::stable::contiguous(by_values);
  alphas = torch::stable::contiguous(alphas), scales = torch::stable::contiguous(scales);
  Tensor by_emissions = in.empty({in.sentences, in.steps, labels});
  Tensor by_transitions = in.empty({labels, labels});
  Tensor by_start = in.empty({labels}), by_end = in.empty({labels});
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Batch<T, true> batch(in);
    const T* by = by_values.const_data_ptr<T>();
    const T* saved_alphas = alphas.const_data_ptr<T>();
    const T* saved_scales = scales.const_data_ptr<T>();
    T* to = by_emissions.mutable_data_ptr<T>();
    const int64_t shares = std::min(kShares, in.sentences), row = batch.ready.row;
    // [labels, labels] transitions, then starts and ends, of each share.
    const int64_t numbers = (labels + 2) * labels;
    std::vector<double> sums(shares * numbers, 0.0);
    batch.for_all(shares, labels * row, [&](int64_t share, T* scratch) {
      T* counts = scratch + batch.scratch();
      double* moved = sums.data() + share * numbers;
      double *started = moved + labels * labels, *ended = started + labels;
      std::fill_n(counts, labels * row, T(0));
      for (int64_t b = share; b < in.sentences; b += shares) {
        T* rows = to + b * size;
        batch.marginals(b, saved_alphas + b * size, saved_scales + b * in.steps,
                        paths ? -by[b] : by[b], rows, counts, moved, scratch);
        const int64_t length = in.lengths[b];
        for (int64_t t = 0; paths && t < length; ++t) {
          const int64_t* label = paths.at(b) + t;
          rows[t * labels + *label] += by[b];
          if (t) moved[label[-1] * labels + *label] += by[b];
        }
        for (int64_t k = 0; length && k < labels; ++k) {
          started[k] += rows[k];
          ended[k] += rows[(length - 1) * labels + k];
        }
      }
      for (int64_t i = 0; i < labels; ++i)
        for (int64_t j = 0; j < labels; ++j)
          moved[i * labels + j] += double(counts[i * row + j]) * batch.ready.moves[i * row + j];
    });
    const auto sum = [&](int64_t first, int64_t count, T* result) {
      for (int64_t k = 0; k < count; ++k) {
        double all = 0;
        for (int64_t share = 0; share < shares; ++share) all += sums[share * numbers + first + k];
        result[k] = T(all);
      }
    };
    sum(0, labels * labels, by_transitions.mutable_data_ptr<T>());
    sum(labels * labels, labels, by_start.mutable_data_ptr<T>());
    sum(labels * labels + labels, labels, by_end.mutable_data_ptr<T>());
  });
  return {by_emissions, by_transitions, by_start, by_end};
}

Tensor crf_marginals(Tensor emissions, Tensor transitions, Tensor start, Tensor end, Tensor mask) {
  const Inputs in(emissions, transitions, start, end, mask);
  const int64_t size = in.steps * in.labels;
  Tensor found = in.empty({in.sentences, in.steps, in.labels});
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Batch<T, true> batch(in);
    T* to = found.mutable_data_ptr<T>();
    batch.for_all(in.sentences, size + in.steps, [&](int64_t b, T* scratch) {
      T *alphas = scratch + batch.scratch(), *scales = alphas + size;
      batch.partition(b, alphas, scales, scratch);
      batch.marginals(b, alphas, scales, 1, to + b * size, nullptr, nullptr, scratch);
    });
  });
  return found;
}

std::tuple<Tensor, Tensor> crf_viterbi(Tensor emissions, Tensor transitions, Tensor start,
                                       Tensor end, Tensor mask) {
  const Inputs in(emissions, transitions, start, end, mask);
  Tensor paths = torch::stable::new_empty(in.emissions, {in.sentences, in.steps}, ScalarType::Long);
  Tensor scores = in.empty({in.sentences});
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Batch<T, false> batch(in);
    int64_t* to = paths.mutable_data_ptr<int64_t>();
    T* best = scores.mutable_data_ptr<T>();
    batch.for_all(in.sentences, in.steps * batch.ready.row, [&](int64_t b, T* scratch) {
      int64_t* path = to + b * in.steps;
      const Sentence<T> sentence = in.sentence<T>(b);
      std::fill(path + sentence.length, path + in.steps, 0);
      T* values = scratch + batch.scratch();
      best[b] =
          sentence.length ? T(batch.run.viterbi(batch.ready, sentence, path, values, scratch)) : T(0);
    });
  });
  return {paths, scores};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mtl, CPU, m) {
  m.impl("crf_forward", TORCH_BOX(&crf_forward));
  m.impl("crf_backward", TORCH_BOX(&crf_backward));
  m.impl("crf_marginals", TORCH_BOX(&crf_marginals));
  m.impl("crf_viterbi", TORCH_BOX(&crf_viterbi));
}
