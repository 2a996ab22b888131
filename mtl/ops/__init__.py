"""Operators on tensors, each with its reference in plain torch."""

from mtl.ops.crf import crf_log_partition, crf_marginals, crf_score, crf_viterbi

__all__ = ["crf_log_partition", "crf_marginals", "crf_score", "crf_viterbi"]
