"""The contract of metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from mtl.text.example import Labels

PLAIN = ("perplexity", "bits_per_character", "squared_error")
"""Scores that are no fractions."""


def shown(name: str, score: float) -> str:
    """Return a score as people write it: fractions in per cent."""
    return f"{score if name in PLAIN else 100 * score:.2f}"


class Metric(ABC):
    """Counts over gold and predicted labels, as strings, and the scores made of them.

    Counts of parts of a data set add up: `merge` of two halves equals one pass over the whole.
    """

    higher_is_better: ClassVar[bool] = True
    reads: ClassVar[Literal["labels", "sets", "numbers", "log_probs"]] = "labels"
    """What it compares: labels, sets, numbers, or gold labels with their log-probabilities."""

    @abstractmethod
    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Count more sentences: one item each, a string (classification) or one string a token.

        Those that read sets or numbers are given one a sentence.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return scores by name, the task's own first: fractions of 1, or those in `PLAIN`."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add the counts of another metric of the same class."""

    def per_label(self) -> dict[str, dict[str, float]]:
        """Return precision, recall, f1 and support of each label (or span type)."""
        return {}
