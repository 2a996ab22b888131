// The CRF operators for the CPU. Their schemas are in mtl/ops/crf.py.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "crf_inputs.h"

namespace mtl::crf {
namespace {

// Groups of sentences that are summed separately. Their number does not depend on the number of threads,
// so sums are bit-identical.
constexpr int64_t kShares = 8;

// Whether a sentence was computed with logarithms.
template <class T>
bool logarithms(const Inputs& in, const T* scales) {
  for (int64_t b = 0; b < in.sentences; ++b)
    if (in.lengths[b] && scales[b * in.steps] == 0) return true;
  return false;
}

std::tuple<Tensor, Tensor, Tensor> forward(Tensor emissions, Tensor transitions, Tensor start,
                                               Tensor end, Tensor mask, MaybeTensor path_labels,
                                               bool save) {
  const Inputs in(emissions, transitions, start, end, mask);
  const Paths paths(path_labels, in);
  Tensor values = in.empty({in.sentences});
  Tensor alphas = save ? in.empty({in.sentences, in.steps, in.labels}) : in.empty({0});
  Tensor scales = save ? in.empty({in.sentences, in.steps}) : in.empty({0});
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    T* to = values.mutable_data_ptr<T>();
    partitions<Threads>(in.view<T>(), save ? alphas.mutable_data_ptr<T>() : nullptr,
                        save ? scales.mutable_data_ptr<T>() : nullptr,
                        [&](const auto& batch, int64_t b, double partition) {
                          to[b] = T(paths ? batch.score(b, paths.at(b)) - partition : partition);
                        });
  });
  return {values, alphas, scales};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> backward(
    Tensor by_values, Tensor emissions, Tensor transitions, Tensor start, Tensor end, Tensor mask,
    MaybeTensor path_labels, Tensor alphas, Tensor scales) {
  const Inputs in(emissions, transitions, start, end, mask);
  const Paths paths(path_labels, in);
  const int64_t labels = in.labels, size = in.steps * labels;
  expect("by_values", by_values, emissions.scalar_type(), {in.sentences});
  expect("alphas", alphas, emissions.scalar_type(), {in.sentences, in.steps, labels});
  expect("scales", scales, emissions.scalar_type(), {in.sentences, in.steps});
  alphas = packed(alphas), scales = packed(scales);
  Tensor by_emissions = in.empty({in.sentences, in.steps, labels});
  Tensor by_transitions = in.empty({labels, labels});
  Tensor by_start = in.empty({labels}), by_end = in.empty({labels});
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const View<T> view = in.view<T>();
    const Batch<T, true, Threads> batch(view);
    const auto by = [values = by_values.const_data_ptr<T>(), stride = by_values.stride(0)](
                        int64_t b) { return values[b * stride]; };
    const T* saved_alphas = alphas.const_data_ptr<T>();
    const T* saved_scales = scales.const_data_ptr<T>();
    T* to = by_emissions.mutable_data_ptr<T>();
    const int64_t shares = std::clamp<int64_t>(in.sentences, 1, kShares), row = batch.ready.row;
    const int64_t pairs = labels * labels;
    const Buffer<T> counts(shares * labels * row);
    // [K, K] per share, if sentences were computed with logarithms; then one for the paths.
    std::vector<double> exact((logarithms(in, saved_scales) ? shares * pairs : 0) + pairs, 0.0);
    const int64_t each = (in.sentences + shares - 1) / shares;
    batch.for_all(shares, each, batch.rows_of_scratch(), [&](int64_t share, T* scratch) {
      T* counted = counts.get() + share * labels * row;
      std::fill_n(counted, labels * row, T(0));
      for (int64_t b = share; b < in.sentences; b += shares)
        batch.marginals(b, saved_alphas + b * size, saved_scales + b * in.steps,
                        paths ? -by(b) : by(b), to + b * size, counted,
                        exact.data() + share * pairs, scratch);
    });
    double* moved = exact.data() + exact.size() - pairs;
    std::vector<double> ends(2 * labels, 0.0);
    for (int64_t b = 0; b < in.sentences; ++b) {
      const int64_t* label = paths.at(b);
      T* rows = to + b * size;
      for (int64_t t = 0; paths && t < in.lengths[b]; ++t, ++label, rows += labels) {
        rows[*label] += by(b);
        if (t) moved[label[-1] * labels + *label] += by(b);
      }
      for (int64_t k = 0; in.lengths[b] && k < labels; ++k) {
        ends[k] += to[b * size + k];
        ends[labels + k] += to[b * size + (in.lengths[b] - 1) * labels + k];
      }
    }
    for (int64_t share = 0; share < shares; ++share)
      for (int64_t i = 0; i < labels; ++i) {
        const T *moves = batch.ready.moves + i * row;
        const T *counted = counts.get() + (share * labels + i) * row;
        for (int64_t j = 0; j < labels; ++j) moved[i * labels + j] += double(counted[j]) * moves[j];
      }
    for (const double* sums = exact.data(); sums < moved; sums += pairs)
      for (int64_t pair = 0; pair < pairs; ++pair) moved[pair] += sums[pair];
    std::copy_n(moved, pairs, by_transitions.mutable_data_ptr<T>());
    std::copy_n(ends.data(), labels, by_start.mutable_data_ptr<T>());
    std::copy_n(ends.data() + labels, labels, by_end.mutable_data_ptr<T>());
  });
  return {by_emissions, by_transitions, by_start, by_end};
}

Tensor find_marginals(Tensor emissions, Tensor transitions, Tensor start, Tensor end, Tensor mask) {
  const Inputs in(emissions, transitions, start, end, mask);
  Tensor found = in.empty({in.sentences, in.steps, in.labels});
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    marginals<Threads>(in.view<T>(), found.mutable_data_ptr<T>());
  });
  return found;
}

std::tuple<Tensor, Tensor> find_paths(Tensor emissions, Tensor transitions, Tensor start, Tensor end,
                                      Tensor mask) {
  const Inputs in(emissions, transitions, start, end, mask);
  Tensor paths = Inputs::empty({in.sentences, in.steps}, aoti_torch_dtype_int64());
  Tensor scores = in.empty({in.sentences});
  in.dispatch([&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    viterbi<Threads>(in.view<T>(), paths.mutable_data_ptr<int64_t>(), scores.mutable_data_ptr<T>());
  });
  return {paths, scores};
}

}  // namespace
}  // namespace mtl::crf

STABLE_TORCH_LIBRARY_IMPL(mtl, CPU, m) {
  m.impl("crf_forward", TORCH_BOX(&mtl::crf::forward));
  m.impl("crf_backward", TORCH_BOX(&mtl::crf::backward));
  m.impl("crf_marginals", TORCH_BOX(&mtl::crf::find_marginals));
  m.impl("crf_viterbi", TORCH_BOX(&mtl::crf::find_paths));
}
