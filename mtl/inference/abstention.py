"""Abstention: answers of low confidence are left out. This module does not need torch."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mtl.errors import MtlError
from mtl.inference.prediction import Prediction
from mtl.inference.task_prediction import TaskPrediction


def set_confidence(labels: Collection[str], probabilities: Mapping[str, float]) -> float:
    """Return the probability that a set of labels is the right one.

    The labels of a set are independent, so it is the product over all labels of the task.

    >>> set_confidence({"a"}, {"a": 0.8, "b": 0.5})
    0.4
    """
    return math.prod(p if label in labels else 1 - p for label, p in probabilities.items())


def certainty(value: Any, confidence: Any) -> float:
    """Return the confidence of a value of a sentence or token as one number."""
    return set_confidence(value, confidence) if isinstance(confidence, Mapping) else confidence


def abstain(prediction: Prediction, threshold: float, *, confidence: bool) -> Prediction:
    """Return a prediction without the answers whose confidence is below a threshold.

    The label of a sentence, a set of labels and the label of a token are one answer each. Where
    labels are span tags, a span is one answer, with the joint probability of its tags; tokens
    outside of spans are left out by themselves. Numbers and distributions have no confidence, so
    they are never left out.

    Args:
        prediction: The prediction, with confidences.
        threshold: The least confidence of an answer.
        confidence: Whether to keep the confidences.
    """
    found: dict[str, TaskPrediction] = {}
    for task, own in prediction.by_task.items():
        if not prediction.lacks_label(task):
            own = give_answers(own, threshold)
        found[task] = own if confidence else own._replace(confidence=None, spans=None)
    return Prediction(prediction.sentence, found, prediction.targets, prediction.schemes)


def give_answers(own: TaskPrediction, threshold: float) -> TaskPrediction:
    """Return the prediction of a task without unsure answers; see `abstain`."""
    if own.confidence is None:  # numbers and distributions, or a sentence without tokens
        count = len(own.labels) if isinstance(own.labels, tuple) else 1
        return own._replace(coverage=(count, count))
    if not isinstance(own.confidence, tuple) or not isinstance(own.labels, tuple):
        sure = certainty(own.labels, own.confidence) >= threshold
        return own._replace(coverage=(int(sure), 1))
    numbers = map(certainty, own.labels, own.confidence)
    keep = [number >= threshold for number in numbers]
    if own.spans is None:
        coverage = sum(keep), len(keep)
        spans = None
    else:
        spans = tuple(found for found in own.spans if found.confidence >= threshold)
        coverage = len(spans), len(own.spans)
        for found in own.spans:
            start, end = found.span.start, found.span.end
            keep[start:end] = [found.confidence >= threshold] * (end - start)
    labels = tuple(value if sure else None for value, sure in zip(own.labels, keep, strict=True))
    return own._replace(labels=labels, spans=spans, coverage=coverage)


def sure_answers(
    predictions: Iterator[Prediction], threshold: float | None, *, confidence: bool
) -> Iterator[Prediction]:
    """Return a stream of predictions without unsure answers; see `abstain`.

    Args:
        predictions: The predictions, with confidences unless the threshold is None.
        threshold: The least confidence of an answer; None: leave out none.
        confidence: Whether to keep the confidences.

    Raises:
        MtlError: The threshold is not a probability.
    """
    if threshold is None:
        return predictions
    check_threshold(threshold)
    return (abstain(own, threshold, confidence=confidence) for own in predictions)


def check_threshold(threshold: float | None) -> None:
    """Raise an MtlError if a threshold is neither None nor a probability."""
    if threshold is not None and not 0 <= threshold <= 1:  # NaN too
        raise MtlError(f"abstain: expected a probability from 0 to 1, got {threshold}")


class Coverage:
    """Counts the answers of a model that may abstain, per task."""

    def __init__(self) -> None:
        self.counts: dict[str, tuple[int, int]] = {}
        self._units: dict[str, str] = {}

    def add(self, prediction: Prediction) -> None:
        """Count a prediction from `abstain`."""
        for task, own in prediction.by_task.items():
            if own.coverage is None:
                continue
            given, every = self.counts.get(task, (0, 0))
            self.counts[task] = given + own.coverage[0], every + own.coverage[1]
            if task not in self._units:
                token = prediction.targets[task].level == "token"
                unit = "spans" if prediction.schemes.get(task) else "words"
                self._units[task] = unit if token else "texts"

    def merge(self, other: Coverage) -> None:
        """Add the counts of another object."""
        self._units |= other._units
        for task, (given, every) in other.counts.items():
            own = self.counts.get(task, (0, 0))
            self.counts[task] = own[0] + given, own[1] + every

    def lines(self) -> Iterator[str]:
        """Yield a line per task for the user."""
        for task, (given, every) in self.counts.items():
            share = f" ({100 * given / every:.1f} %)" if every else ""
            yield f"coverage: {task}: {given:,} of {every:,} {self._units[task]}{share}"
