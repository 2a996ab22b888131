"""The prediction of one task. Letters: T tokens, N attention weightings, S logits."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from torch import Tensor

from mtl.heads import FoundSpan
from mtl.text.example import Labels

Confidence: TypeAlias = "tuple[float, ...] | float | dict[str, float]"
"""One probability per tag; the probability of the label; or, for sets, one per label."""


class TaskPrediction(NamedTuple):
    """The prediction of one task for one sentence.

    Args:
        labels: One label per token; or one label, a set of labels or a number for the sentence.
        confidence: One probability per tag; the probability of the label; or, for sets, one
            probability per label of the task. None for numbers, or if not requested.
        spans: The spans of span tags, each with the joint probability of its tags. None for other
            labels, or if confidences were not requested.
        attention: Attention weights over tokens, `[T]`; or from each token (row) over all tokens
            (columns), `[T, T]`. With N > 1 weightings, `[N, T]` or `[N, T, T]`. None if not
            requested.
        attention_b: Attention weights in the second sentence of a pair.
        logits: The scores of the labels, or of a number, `[S]`. None for one label per token, or
            if not requested.
    """

    labels: Labels
    confidence: Confidence | None = None
    spans: tuple[FoundSpan, ...] | None = None
    attention: Tensor | None = None
    attention_b: Tensor | None = None
    logits: Tensor | None = None
