"""What the labels of a text rest on, put together from the windows in which it was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from mtl.data.windows import Window
from mtl.heads import HEADS, FoundSpan, Head
from mtl.inference.readouts import Reading
from mtl.text.example import Labels
from mtl.text.spans import read_spans

Confidence: TypeAlias = "tuple[float, ...] | float | dict[str, float]"
"""A probability a tag; that of the label; of sets, label to how probable it is that it is there."""


class Explanation(NamedTuple):
    """The labels of a sentence, and what they rest on.

    Args:
        labels: One a token; or of the whole sentence one label, a set of labels, or a number.
        confidence: How probable the labels are; None for numbers, and where it was not asked for.
        spans: Those that the tags describe, each with the probability that its tokens are so
            labelled; None for labels that are no span tags.
        attention: How much the head looks at each token, `[T]`, or `[Q, T]` of Q > 1 hops; or how
            much each token looks at each other one, `[T, T]`, or `[N, T, T]` in N > 1 ways. None
            where it was not asked for.
        attention_b: The same of the second sentence of a pair.
    """

    labels: Labels
    confidence: Confidence | None = None
    spans: tuple[FoundSpan, ...] | None = None
    attention: Tensor | None = None
    attention_b: Tensor | None = None


def explained_tags(
    readings: Sequence[Reading], labels: tuple[str, ...], *, spans: bool
) -> Explanation:
    """Return the tags of a text with their probabilities.

    Args:
        readings: What is said of its windows, with confidences.
        labels: The tags, in the scheme that they are given in.
        spans: Whether they describe spans.
    """
    confidence = tuple(own for reading in readings for own in reading.confidence)
    return Explanation(labels, confidence, _joined_spans(readings) if spans else None)


def explained_sentences(head: Head, evidence: Tensor, *, confidence: bool) -> list[Explanation]:
    """Return what a head concludes from the evidence for each text, `[N, S]`."""
    answers = head.named(head.conclude(evidence))
    if not confidence:
        return [Explanation(answer) for answer in answers]
    probabilities = head.log_probs_from(evidence).exp().tolist()
    return [
        Explanation(answer, _confidence(answer, dict(zip(head.labels, own, strict=True))))
        for answer, own in zip(answers, probabilities, strict=True)
    ]


def _confidence(answer: Labels, probabilities: dict[str, float]) -> Confidence | None:
    if isinstance(answer, str):
        return probabilities[answer]
    return probabilities if isinstance(answer, frozenset) else None


def with_attention(
    explanation: Explanation, readings: Sequence[Reading], windows: Sequence[Window], sentences: int
) -> Explanation:
    """Return an explanation with where the head looks.

    Args:
        explanation: It without.
        readings: What is said of the windows of the text; none, if it has no token.
        windows: These windows.
        sentences: 1, or 2 of a pair.
    """
    sides = zip(*(reading.attention for reading in readings), strict=True)
    found = [_joined_weights(side, windows) for side in sides] or [torch.zeros(0)] * sentences
    second = found[1] if sentences == 2 else None
    return explanation._replace(attention=found[0], attention_b=second)


def who_attends() -> str:
    """Return, in words, which heads have attention."""
    able = {n: c for n, c in HEADS.items() if c.attention_weights is not Head.attention_weights}
    always = ", ".join(name for name, head in able.items() if head.attention_option is None)
    optional: dict[str, list[str]] = {}
    for name, head in able.items():
        if head.attention_option is not None:
            optional.setdefault(head.attention_option, []).append(name)
    by_option = (f"with the option `{o}` {', '.join(names)}" for o, names in optional.items())
    return f"the head {always} has it, and {' and '.join(by_option)}"


def _joined_spans(readings: Sequence[Reading]) -> tuple[FoundSpan, ...]:
    """Return the spans of a text, given those of the parts that its windows keep.

    A span over several parts is as probable as all its pieces together, each window by itself.
    """
    pieces = (found for reading in readings for found in reading.spans)
    joined = []
    for span in read_spans(tag for reading in readings for tag in reading.tags):
        left, confidence = span.end - span.start, 1.0
        while left:
            piece, own = next(pieces)
            left, confidence = left - (piece.end - piece.start), confidence * own
        joined.append(FoundSpan(span, confidence))
    return tuple(joined)


def _joined_weights(weights: Sequence[Tensor], windows: Sequence[Window]) -> Tensor:
    """Return the attention in a text, given that in its windows; there is none between them.

    Weights of tokens are the means over the windows, as scores are. What a token looks at is said
    by the window that keeps it.

    Args:
        weights: Of each window `[N, T]` or `[N, T, T]`.
        windows: The windows.
    """
    first, length = weights[0], windows[-1].end
    if len(weights) == 1:
        return _alone(first)
    shape = (len(first), length) if first.ndim == 2 else (len(first), length, length)
    whole = first.new_zeros(shape)
    for own, w in zip(weights, windows, strict=True):
        if first.ndim == 2:
            whole[:, w.start : w.end] += own / len(windows)
        else:
            kept = own[:, w.keep_start - w.start : w.keep_end - w.start]
            whole[:, w.keep_start : w.keep_end, w.start : w.end] = kept
    return _alone(whole)


def _alone(weights: Tensor) -> Tensor:
    """Return weights without their first dimension where it holds one alone."""
    return weights[0] if len(weights) == 1 else weights
