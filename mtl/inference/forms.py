"""Everything in inference that depends on the form of labels.

A task predicts one label per token, or one label, a set of labels or a number per sentence. Here
the outputs for windows are merged, and predictions are converted to JSON and to text.
Letters: N sentences, S logits, K labels, H width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mtl.heads import Classifier, FoundSpan, Head, Tagger
from mtl.inference.readouts import Readout
from mtl.inference.task_prediction import Confidence, TaskPrediction
from mtl.text.example import Labels, plain
from mtl.text.spans import OUTSIDE, Scheme, convert, read_spans

DIGITS = 6
"""Decimal places of probabilities and weights in JSON."""


# ---- merging windows


def merge_windows(
    head: Head,
    readouts: Sequence[Sequence[Readout]],
    padding: Tensor,
    *,
    scheme: Scheme | None,
    confidence: bool = False,
    logits: bool = False,
) -> list[TaskPrediction]:
    """Return the prediction of a head for each of N sentences, without attention.

    Args:
        head: The head.
        readouts: Its outputs for the windows of each sentence; a sentence without tokens has none.
        padding: The hidden states of a sentence without tokens; see `padding_states`.
        scheme: The output scheme of span tags; None leaves tags as the head learned them.
        confidence: Whether to include confidences.
        logits: Whether to include the logits.
    """
    if head.level == "token":
        return [_merge_tags(head, row, scheme, confidence) for row in readouts]
    return _merge_logits(head, readouts, padding, confidence, logits)


def _merge_tags(
    head: Head, readouts: Sequence[Readout], scheme: Scheme | None, confidence: bool
) -> TaskPrediction:
    tags: Sequence[str] = (
        readouts[0].tags
        if len(readouts) == 1
        else [tag for readout in readouts for tag in readout.tags]
    )
    # Most sentences have no span at all, and then every scheme has the same tags.
    if scheme and tags.count(OUTSIDE) < len(tags):
        tags = convert(tags, scheme)
    labels = tuple(tags)
    if not confidence:
        return TaskPrediction(labels)
    probabilities = tuple(p for readout in readouts for p in readout.confidence)
    has_spans = scheme and isinstance(head, Tagger)
    return TaskPrediction(labels, probabilities, _merge_spans(readouts) if has_spans else None)


def _merge_spans(readouts: Sequence[Readout]) -> tuple[FoundSpan, ...]:
    """Return the spans of a sentence, joined where they cross from one window into the next.

    The confidence of a joined span is the product of the confidences of its parts: windows are
    read independently.
    """
    parts = (part for readout in readouts for part in readout.spans)
    spans = []
    for span in read_spans(tag for readout in readouts for tag in readout.tags):
        missing, confidence = span.end - span.start, 1.0
        while missing:
            part, probability = next(parts)
            missing -= part.end - part.start
            confidence *= probability
        spans.append(FoundSpan(span, confidence))
    return tuple(spans)


def _merge_logits(
    head: Head,
    readouts: Sequence[Sequence[Readout]],
    padding: Tensor,
    confidence: bool,
    logits: bool,
) -> list[TaskPrediction]:
    means = _mean_logits(head, readouts, padding)
    merged = [TaskPrediction(answer) for answer in head.named(head.conclude(means))]
    if confidence:
        probabilities = head.log_probs_from(means).exp().tolist()
        merged = [
            own._replace(confidence=_confidence(own.labels, head.labels, row))
            for own, row in zip(merged, probabilities, strict=True)
        ]
    if logits:
        merged = [own._replace(logits=row) for own, row in zip(merged, means, strict=True)]
    return merged


def _confidence(
    labels: Labels, names: Sequence[str], probabilities: Sequence[float]
) -> Confidence | None:
    by_label = dict(zip(names, probabilities, strict=True))
    if isinstance(labels, str):
        return by_label[labels]
    return by_label if isinstance(labels, frozenset) else None


def _mean_logits(head: Head, readouts: Sequence[Sequence[Readout]], padding: Tensor) -> Tensor:
    """Return the mean logits of each sentence over its windows, `[N, S]`.

    Logits of a sentence without tokens are the logits of padding.
    """
    default = head.evidence(padding, padding[..., 0] > 0)  # [1, S]
    logits = [r.logits for row in readouts for r in row if r.logits is not None]
    if not logits:
        return default.expand(len(readouts), -1)
    owners = [number for number, row in enumerate(readouts) for _ in row]
    index = torch.tensor(owners, device=default.device)
    sums = default.new_zeros(len(readouts), default.shape[1])
    sums = sums.index_add(0, index, torch.stack(logits))
    counts = torch.bincount(index, minlength=len(readouts)).unsqueeze(1)
    return torch.where(counts > 0, sums / counts.clamp(min=1), default)


def padding_states(head: Head, like: Tensor) -> Tensor:
    """Return the hidden states of a sentence without tokens, `[1, 1, H]`; of a pair `[2, 1, H]`.

    Args:
        head: The head that reads them.
        like: A tensor with the type and the device of the model.
    """
    sides = 2 if isinstance(head, Classifier) and head.comparison else 1
    return like.new_zeros(sides, 1, head.in_features)


# ---- writing predictions


def per_token(labels: Labels) -> bool:
    """Return whether there is one label per token."""
    return isinstance(labels, tuple)


def token_labels(labels: Labels) -> tuple[str, ...] | None:
    """Return labels if there is one label per token, else None."""
    return labels if isinstance(labels, tuple) else None


def token_confidence(confidence: Confidence | None) -> tuple[float, ...] | None:
    """Return the probability of each tag if there is one label per token, else None."""
    return confidence if isinstance(confidence, tuple) else None


labels_to_json = plain
"""Return labels as JSON types; the labels of a set are sorted."""


def confidence_to_json(confidence: Confidence) -> Any:
    """Return probabilities as JSON types, rounded."""
    if isinstance(confidence, tuple):
        return [round(probability, DIGITS) for probability in confidence]
    if isinstance(confidence, Mapping):
        return {label: round(probability, DIGITS) for label, probability in confidence.items()}
    return round(confidence, DIGITS)


def labels_to_text(labels: Labels, limit: int = 20) -> str:
    """Return labels on one line; if there is one label per token, the first `limit` labels."""
    if isinstance(labels, tuple):
        return " ".join(labels[:limit])
    if isinstance(labels, frozenset):
        return ", ".join(sorted(labels))
    return f"{labels:.6g}" if isinstance(labels, float) else str(labels)


def confidence_to_text(confidence: Confidence) -> str:
    """Return probabilities on one line; for sets with their labels, the most probable first."""
    if isinstance(confidence, Mapping):
        ordered = sorted(confidence.items(), key=lambda item: -item[1])
        return ", ".join(f"{label} {fraction(probability)}" for label, probability in ordered)
    return " ".join(map(fraction, confidence if isinstance(confidence, tuple) else [confidence]))


def fraction(number: float) -> str:
    """Return a probability or a weight with four decimal places."""
    return f"{number:.4f}"
