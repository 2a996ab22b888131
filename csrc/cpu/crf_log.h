// The CRF in logarithms and doubles, for the few sentences on which products underflow.
#pragma once

#include "crf.h"

namespace mtl {

// Returns the log partition; writes ln α, [length, K].
template <class T>
double log_forward(const Scores<T>& scores, const Sentence<T>& sentence, double* alphas);

// Writes factor · marginals, and adds factor · expected transitions to `counts` [K, K], unless it is
// null. Where no path is possible, all are zero.
template <class T>
void log_backward(const Scores<T>& scores, const Sentence<T>& sentence, double factor,
                  T* by_emissions, double* counts);

}  // namespace mtl
