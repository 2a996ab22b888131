// The CRF with logarithms in double precision, for the few sentences on which products underflow.
#pragma once

#include "crf.h"

namespace mtl {

// Returns the log partition; writes ln α, [length, K].
template <class T>
double log_forward(const Scores<T>& scores, const Sentence<T>& sentence, double* alphas);

// Writes factor · marginals. Unless `counts` [K, K] is null, adds factor · expected transitions to it.
// If no path is possible, all are zero.
template <class T>
void log_backward(const Scores<T>& scores, const Sentence<T>& sentence, double factor,
                  T* by_emissions, double* counts);

}  // namespace mtl
