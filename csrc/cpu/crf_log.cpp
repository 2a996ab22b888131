#include "crf_log.h"

#include <algorithm>
#include <vector>

namespace mtl {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// e^x, or 0 where it is negligible beside 1; NaN for NaN.
double part(double x) { return x < -50 ? 0 : std::exp(x); }

// ln Σ_i e^f(i)
template <class F>
double log_sum(int64_t count, const F& f) {
  double top = -kInfinity, sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double x = f(i);
    if (x != x) return x;
    top = std::max(top, x);
  }
  if (std::isinf(top)) return top;
  for (int64_t i = 0; i < count; ++i) sum += part(f(i) - top);
  return top + std::log(sum);
}

}  // namespace

template <class T>
double log_forward(const Scores<T>& scores, const Sentence<T>& sentence, double* alphas) {
  const int64_t labels = scores.labels;
  for (int64_t t = 0; t < sentence.length; ++t) {
    const double* before = alphas + (t - 1) * labels;
    for (int64_t j = 0; j < labels; ++j) {
      const auto from = [&](int64_t i) {
        return before[i] + double(scores.transitions[i * labels + j]);
      };
      const double reached = t ? log_sum(labels, from) : double(scores.start[j]);
      alphas[t * labels + j] = reached + double(sentence.at(t)[j]);
    }
  }
  const double* last = alphas + (sentence.length - 1) * labels;
  return log_sum(labels, [&](int64_t j) { return last[j] + double(scores.end[j]); });
}

template <class T>
void log_backward(const Scores<T>& scores, const Sentence<T>& sentence, double factor,
                  T* by_emissions, double* counts) {
  const int64_t labels = scores.labels;
  std::vector<double> alphas(sentence.length * labels), beta(labels), ahead(labels);
  const double partition = log_forward(scores, sentence, alphas.data());
  if (partition == -kInfinity) {
    std::fill_n(by_emissions, sentence.length * labels, T(0));
    return;
  }
  for (int64_t t = sentence.length - 1; t >= 0; --t) {
    for (int64_t i = 0; i < labels; ++i) {
      const T* moves = scores.transitions + i * labels;
      beta[i] = t == sentence.length - 1
                    ? double(scores.end[i])
                    : log_sum(labels, [&](int64_t j) { return double(moves[j]) + ahead[j]; });
    }
    for (int64_t j = 0; j < labels; ++j) {
      const int64_t at = t * labels + j;
      by_emissions[at] = T(factor * part(alphas[at] + beta[j] - partition));
      ahead[j] = beta[j] + double(sentence.at(t)[j]);
    }
    const double* before = alphas.data() + (t - 1) * labels;
    for (int64_t i = 0; t && counts && i < labels; ++i)
      for (int64_t j = 0; j < labels; ++j) {
        const double move = double(scores.transitions[i * labels + j]);
        counts[i * labels + j] += factor * part(before[i] + move + ahead[j] - partition);
      }
  }
}

#define MTL_INSTANTIATE(T)                                                          \
  template double log_forward(const Scores<T>&, const Sentence<T>&, double*);       \
  template void log_backward(const Scores<T>&, const Sentence<T>&, double, T*, double*);
MTL_INSTANTIATE(float)
#ifdef TORCH_TARGET_VERSION
MTL_INSTANTIATE(double)
#endif
#undef MTL_INSTANTIATE

}  // namespace mtl
