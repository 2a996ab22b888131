// The passes over a batch of sentences: scratch memory, doubtful sums, and what callers ask for. `Threads`
// distributes the tasks: run(tasks, grain, pass) calls pass(begin, end) for all parts of the tasks.
#pragma once

#include <algorithm>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "crf.h"
#include "crf_log.h"
#include "isa.h"

namespace mtl::crf {

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

// The least work that is worth starting a thread: tens of microseconds.
constexpr int64_t kWorth = 2'000'000;

// A batch: the scores of its labels and tokens. Sentences and tokens have strides.
template <class T>
struct View {
  Scores<T> scores;
  int64_t sentences, steps;
  const T* emissions;
  int64_t sentence_stride, step_stride;
  const int64_t* lengths;  // [B], each from 0 to the number of steps

  Sentence<T> sentence(int64_t b) const {
    return {emissions + b * sentence_stride, lengths[b], step_stride};
  }
};

// The data of a pass over a batch. kSums: for sums over paths, else for the best path.
template <class T, bool kSums, class Threads>
struct Batch {
  const View<T>& in;
  const CrfLoops<T>& run = loops<T>();
  const Scores<T>& scores = in.scores;
  const int64_t labels = scores.labels;
  Ready<T> ready{};
  Buffer<T> rows;

  explicit Batch(const View<T>& in_) : in(in_), rows(Ready<T>::size(labels, row())) {
    const int64_t row = this->row();
    T* next = rows.get();
    const auto take = [&](int64_t count) { return std::exchange(next, next + count * row); };
    ready.labels = labels, ready.row = row;
    for (T** one : {&ready.start, &ready.end, &ready.column, &ready.most, &ready.least})
      *one = take(1);
    ready.moves = take(labels), ready.moves_back = take(labels);
    (kSums ? run.prepare_sums : run.prepare_best)(scores, ready);
  }

  int64_t row() const {
    const int64_t lanes = vector_bytes() / sizeof(T);
    return (labels + lanes - 1) / lanes * lanes;
  }
  int64_t rows_of_scratch() const { return (kCounted + 2) * ready.row; }

  // Calls pass(task, scratch) for each task, in threads if there is enough work. A task has
  // `sentences` sentences and `numbers` numbers of scratch.
  template <class Pass>
  void for_all(int64_t tasks, int64_t sentences, int64_t numbers, const Pass& pass) const {
    const int64_t work = std::max<int64_t>(1, sentences * in.steps * (ready.row * labels + 320));
    Threads::run(tasks, std::max<int64_t>(1, kWorth / work), [&](int64_t begin, int64_t end) {
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
    const double numbers = double(sums.sentence.length) * labels;
    // The sums over continuations of two labels differ by a factor of at most e^spread; a scale is at
    // least e^-spread.
    if (numbers * std::exp(2 * ready.spread) <= most) return false;
    return !(run.lost(ready, sums, scratch) <= most);
  }

  // Computes the log partitions of some sentences. A first scale of 0 marks a_t and s_t as invalid.
  void partitions(int64_t begin, int64_t end, T* alphas, T* scales, double* found,
                  T* scratch) const {
    Sums<T> sums[kTogether];
    for (int64_t b = begin; b < end; ++b, alphas += in.steps * labels, scales += in.steps) {
      const Sentence<T> sentence = in.sentence(b);
      std::fill(alphas + sentence.length * labels, alphas + in.steps * labels, T(0));
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
      std::vector<double> logs(sum->sentence.length * labels);
      partition = log_forward(scores, sum->sentence, logs.data());
    }
  }

  // The score of a path.
  double score(int64_t b, const int64_t* path) const {
    const Sentence<T> sentence = in.sentence(b);
    if (sentence.length == 0) return 0;
    double sum = double(scores.start[path[0]]) + double(scores.end[path[sentence.length - 1]]);
    for (int64_t t = 0; t < sentence.length; ++t) {
      sum += sentence.at(t)[path[t]];
      if (t) sum += scores.transitions[path[t - 1] * labels + path[t]];
    }
    return sum;
  }

  // Writes factor · marginals, zero on padding. Adds the transitions still to be multiplied by the moves
  // to `counts` [K, row], and all others to `exact` [K, K]. Either may be null.
  void marginals(int64_t b, const T* alphas, const T* scales, T factor, T* by_emissions, T* counts,
                 double* exact, T* scratch) const {
    const Sentence<T> sentence = in.sentence(b);
    const int64_t real = sentence.length * labels;
    std::fill(by_emissions + real, by_emissions + in.steps * labels, T(0));
    if (sentence.length == 0) return;
    if (scales[0] == 0) return log_backward(scores, sentence, factor, by_emissions, exact);
    run.backward(ready, sentence, alphas, scales, factor, by_emissions, counts, scratch);
  }
};

// Calls take(batch, b, log partition) for all sentences. Unless null, `alphas` [B, T, K] and `scales`
// [B, T] are saved for the backward pass.
template <class Threads, class T, class Take>
void partitions(const View<T>& in, T* alphas, T* scales, const Take& take) {
  const Batch<T, true, Threads> batch(in);
  const int64_t size = in.steps * batch.labels, rows = batch.rows_of_scratch();
  const int64_t more = alphas ? 0 : kTogether * (size + in.steps);
  batch.for_sentences(rows + more, [&](int64_t begin, int64_t end, T* scratch) {
    T* unsaved = scratch + rows;
    double found[kTogether];
    batch.partitions(begin, end, alphas ? alphas + begin * size : unsaved,
                     alphas ? scales + begin * in.steps : unsaved + kTogether * size, found, scratch);
    for (int64_t b = begin; b < end; ++b) take(batch, b, found[b - begin]);
  });
}

// Writes the marginals [B, T, K], zero on padding.
template <class Threads, class T>
void marginals(const View<T>& in, T* to) {
  const Batch<T, true, Threads> batch(in);
  const int64_t size = in.steps * batch.labels, rows = batch.rows_of_scratch();
  batch.for_sentences(
      rows + kTogether * (size + in.steps), [&](int64_t begin, int64_t end, T* scratch) {
        T *alphas = scratch + rows, *scales = alphas + kTogether * size;
        double unused[kTogether];
        batch.partitions(begin, end, alphas, scales, unused, scratch);
        for (int64_t b = begin; b < end; ++b, alphas += size, scales += in.steps)
          batch.marginals(b, alphas, scales, 1, to + b * size, nullptr, nullptr, scratch);
      });
}

// Writes the best paths [B, T], 0 on padding, and their scores [B] unless null.
template <class Threads, class T>
void viterbi(const View<T>& in, int64_t* paths, T* scores) {
  const Batch<T, false, Threads> batch(in);
  const int64_t size = in.steps * batch.ready.row;
  batch.for_sentences(kTogether * size, [&](int64_t begin, int64_t end, T* scratch) {
    Best<T> found[kTogether];
    for (int64_t b = begin; b < end; ++b, scratch += size) {
      const Sentence<T> sentence = in.sentence(b);
      int64_t* path = paths + b * in.steps;
      std::fill(path + sentence.length, path + in.steps, 0);
      found[b - begin] = {sentence, path, scratch};
    }
    std::vector<int32_t> from(batch.ready.row);
    batch.run.viterbi(batch.ready, found, end - begin, from.data());
    for (int64_t b = begin; scores && b < end; ++b) scores[b] = T(found[b - begin].score);
  });
}

}  // namespace mtl::crf
