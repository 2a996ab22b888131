"""Operators on tensors, each with a reference implementation in plain torch."""

import mtl.ops.recurrent  # noqa: F401 - registers the operators that exported programs call
from mtl.ops.crf import crf_log_likelihood, crf_log_partition, crf_marginals, crf_viterbi
from mtl.ops.crf_paths import crf_entropy, crf_n_best, crf_sample, crf_score
from mtl.ops.pool import f_pool, fo_pool, ifo_pool

__all__ = [
    "crf_entropy",
    "crf_log_likelihood",
    "crf_log_partition",
    "crf_marginals",
    "crf_n_best",
    "crf_sample",
    "crf_score",
    "crf_viterbi",
    "f_pool",
    "fo_pool",
    "ifo_pool",
]
