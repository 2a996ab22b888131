"""The prediction of one task, and of its windows.

Letters: T tokens, N attention weightings, S logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from mtl.text.example import Labels
from mtl.text.spans import FoundSpan

if TYPE_CHECKING:
    from torch import Tensor

Confidence: TypeAlias = "float | dict[str, float] | tuple[float | dict[str, float], ...]"
"""One probability per tag; the probability of the label; or, for sets, one per label."""


class Path(NamedTuple):
    """A sequence of labels, and its probability among the sequences that are allowed."""

    labels: Sequence[Any]
    probability: float


class Readout(NamedTuple):
    """The output of a head for one window.

    Args:
        values: The values of the tokens that the window keeps (targets with a value per token).
        logits: `[S]` (heads with one label per sentence).
        confidence: The confidence of each value, if requested.
        spans: The spans of the tags, if confidences were requested. Positions count from the first
            token that the window keeps.
        attention: Attention weights per sentence, `[N, T]` or `[N, T, T]`: one tensor, or two for
            a pair.
        paths: The n best label sequences, each with its probability, if requested.
    """

    values: Sequence[Any] = ()
    logits: Tensor | None = None
    confidence: Sequence[Any] = ()
    spans: Sequence[FoundSpan] = ()
    attention: Sequence[Tensor] = ()
    paths: Sequence[Path] = ()


class TaskPrediction(NamedTuple):
    """The prediction of one task for one sentence.

    Args:
        labels: The value of the sentence: a label, a set of labels, a number, or a distribution
            (label to probability); or a tuple with one such value per token.
        confidence: The probability of the label, or, for a set, of each label of the task; or a
            tuple with one such value per token. None for numbers and distributions, or if not
            requested.
        spans: The spans of span tags, each with the joint probability of its tags. None for other
            labels, or if confidences were not requested.
        attention: Attention weights over tokens, `[T]`; or from each token (row) over all tokens
            (columns), `[T, T]`. With N > 1 weightings, `[N, T]` or `[N, T, T]`. None if not
            requested.
        attention_b: Attention weights in the second sentence of a pair.
        logits: The scores of the labels, or of a number, `[S]`. None for one label per token, or
            if not requested.
        coverage: The number of answers, and this number with the unsure answers that the model
            leaves out; see `mtl.inference.abstention`. None: it leaves out none. An omitted label
            of a sentence is still in `labels`; tokens have None.
        paths: The n most probable label sequences, best first, if requested.
    """

    labels: Labels
    confidence: Confidence | None = None
    spans: tuple[FoundSpan, ...] | None = None
    attention: Tensor | None = None
    attention_b: Tensor | None = None
    logits: Tensor | None = None
    coverage: tuple[int, int] | None = None
    paths: Sequence[Path] = ()
