"""The prediction of one task. Letters: T tokens, N attention weightings, S logits."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from torch import Tensor

from mtl.heads import FoundSpan
from mtl.text.example import Labels

Confidence: TypeAlias = "tuple[float, ...] | float | dict[str, float]"
"""The probability of each tag; of the label; or, for sets, of each label of the task."""


class TaskPrediction(NamedTuple):
    """The prediction of one task for one sentence.

    Args:
        labels: One label per token; or of the whole sentence one label, a set of labels, or a
            number.
        confidence: The probability of each tag; of the label; for sets of each label of the task.
            None for numbers, and where it was not requested.
        spans: The spans of span tags, each with the joint probability of its tags; None for other
            labels, and where confidences were not requested.
        attention: Attention weights: of each token, `[T]`, or `[N, T]` with N > 1 weightings; or
            of each token (row) over the tokens (column), `[T, T]`, or `[N, T, T]`. None where they
            were not requested.
        attention_b: Attention weights in the second sentence of a pair.
        logits: The scores of the labels, or of a number, `[S]`; None for one label per token, and
            where they were not requested.
    """

    labels: Labels
    confidence: Confidence | None = None
    spans: tuple[FoundSpan, ...] | None = None
    attention: Tensor | None = None
    attention_b: Tensor | None = None
    logits: Tensor | None = None
