"""Explanations of predictions: the weight of each word for an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from mtl.inference.confidence import DIGITS
from mtl.inference.prediction import Prediction, merge_fields

Method: TypeAlias = Literal["integrated", "gradient", "occlusion"]
"""The method that computes weights; see `mtl.inference.attribution`."""

FIELD = "explanation"
"""The field of the record that `mtl predict --explain` writes as JSON."""


@dataclass(frozen=True)
class Attribution:
    """The weights of the words of a sentence for one answer.

    A positive weight speaks for the answer, a negative one against it.

    Args:
        answer: The label, the type of the span, or the number.
        tokens: The first token that the answer belongs to, and the token after its last one; None
            for answers that belong to the whole sentence.
        score: The explained score: the log-odds of the answer in nats, or the number.
        weights: One weight per word, in the unit of the score.
        weights_b: The weights of the second sentence of a pair.
        baseline: The score without words: all word vectors are zero. Integrated gradients only.
        gap: The sum of all weights, less the difference of score and baseline, which it would equal
            for an infinite number of steps. Integrated gradients only.
    """

    answer: str | float
    tokens: tuple[int, int] | None
    score: float
    weights: tuple[float, ...]
    weights_b: tuple[float, ...] | None = None
    baseline: float | None = None
    gap: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the attribution as JSON types, without fields that are None."""
        record: dict[str, Any] = {"answer": self.answer}
        if self.tokens is not None:
            record |= {"tokens": list(self.tokens)}
        for name in ("score", "baseline", "gap"):
            value = getattr(self, name)
            if value is not None:
                record[name] = round(value, DIGITS) + 0.0  # not −0.0
        record["weights"] = _rounded(self.weights)
        if self.weights_b is not None:
            record["weights_b"] = _rounded(self.weights_b)
        return record


@dataclass(frozen=True)
class Explanation:
    """A prediction, and the weights of the words for each answer.

    Args:
        prediction: The prediction, with confidences.
        by_task: Task to its attributions: one for the label or the number of a sentence; one per
            label of a set; one per span; or one per tag.
        method: The method.
    """

    prediction: Prediction
    by_task: Mapping[str, Sequence[Attribution]]
    method: Method

    def __getitem__(self, task: str) -> Sequence[Attribution]:
        return self.by_task[task]

    def to_dict(self, renamed: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return prediction and explanation as JSON types; see `Prediction.to_dict`."""
        fields = self.prediction.sentence.fields or {}
        return merge_fields(fields, self.own_fields(), renamed)

    def own_fields(self) -> dict[str, Any]:
        """Return the record of `to_dict` without the fields of the input."""
        tasks = {
            task: [attribution.to_dict() for attribution in attributions]
            for task, attributions in self.by_task.items()
        }
        return {**self.prediction.own_fields(), FIELD: {"method": self.method, "tasks": tasks}}


def _rounded(weights: Sequence[float]) -> list[float]:
    return [round(weight, DIGITS) + 0.0 for weight in weights]
