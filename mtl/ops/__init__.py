"""Operators on tensors, each with its reference in plain torch."""

from mtl.ops.crf import crf_log_partition, crf_marginals, crf_score, crf_viterbi
from mtl.ops.pool import f_pool, fo_pool, ifo_pool

__all__ = [
    "crf_log_partition",
    "crf_marginals",
    "crf_score",
    "crf_viterbi",
    "f_pool",
    "fo_pool",
    "ifo_pool",
]
