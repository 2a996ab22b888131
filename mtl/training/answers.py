"""The confidences of predictions on labelled sentences, and whether the predictions are right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from mtl.inference.abstention import certainty
from mtl.inference.task_prediction import TaskPrediction
from mtl.metrics.calibration import Reliability
from mtl.text.example import Labels
from mtl.text.spans import OUTSIDE, read_spans

_Pairs: TypeAlias = "list[tuple[float, bool]]"
"""Confidence, and whether the answer is right."""


class AnswerCounts:
    """Collects the answers of one task, by their kind.

    | labels | kinds of answers |
    |---|---|
    | one label | "words" or "texts" |
    | span tags | "words", one per tag; "spans": a predicted span, right if a gold span is equal |
    | sets | "sets": a set, right if it is equal; "labels": whether a label is in a set |

    Numbers and distributions have no confidence, so they have no answers.

    Args:
        spans: Whether the labels are span tags.
    """

    def __init__(self, *, spans: bool) -> None:
        self._spans = spans
        self._pairs: dict[str, _Pairs] = {}

    def add(self, gold: Labels, prediction: TaskPrediction) -> None:
        """Add a sentence; tokens without a gold value do not count."""
        own, confidence = prediction.labels, prediction.confidence
        if confidence is None:
            return
        if not (isinstance(own, tuple) and isinstance(confidence, tuple)):
            self._add("texts", [gold], [own], [confidence])
            return
        golds = gold if isinstance(gold, tuple) else (gold,)
        self._add("words", golds, own, confidence)
        if self._spans and prediction.spans is not None:
            right = set(read_spans(OUTSIDE if tag is None else str(tag) for tag in golds))
            pairs = self._pairs.setdefault("spans", [])
            for span, probability in prediction.spans:
                if None not in golds[span.start : span.end]:
                    pairs.append((probability, span in right))

    def _add(
        self, kind: str, golds: Iterable[Any], values: Iterable[Any], confidences: Iterable[Any]
    ) -> None:
        for gold, value, confidence in zip(golds, values, confidences, strict=True):
            if gold is None:
                continue
            sets = isinstance(confidence, Mapping)
            pairs = self._pairs.setdefault("sets" if sets else kind, [])
            pairs.append((certainty(value, confidence), value == gold))
            if sets:
                labels = self._pairs.setdefault("labels", [])
                labels.extend((p, label in gold) for label, p in confidence.items())

    def reliability(self) -> dict[str, Reliability]:
        """Return the answers by kind."""
        # The kind that `--abstain` leaves out comes last.
        order = ("words", "labels", "texts", "sets", "spans")
        return {kind: Reliability.of(self._pairs[kind]) for kind in order if kind in self._pairs}


def answered_part(
    gold: Sequence[Labels],
    predicted: Sequence[TaskPrediction],
    kept: Sequence[TaskPrediction],
    *,
    spans: bool,
) -> Iterator[tuple[Labels, Labels]]:
    """Yield gold and predicted labels of the part that a model answers.

    A sentence or a token without an answer does not count. An omitted span counts as not
    found, so that recall shows the cost.

    Args:
        gold: The gold labels of sentences.
        predicted: The predictions.
        kept: The predictions after `abstain`.
        spans: Whether a metric of spans is computed.
    """
    for right, every, own in zip(gold, predicted, kept, strict=True):
        if not isinstance(own.labels, tuple):
            if own.coverage != (0, 1):
                yield right, own.labels
        elif spans:
            yield right, tuple(OUTSIDE if value is None else value for value in own.labels)
        else:
            golds = right if isinstance(right, tuple) else (right,)
            sure = zip(golds, own.labels, strict=True)
            masked = tuple(None if value is None else label for label, value in sure)
            yield masked, every.labels
