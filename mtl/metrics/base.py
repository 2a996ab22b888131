"""The contract of metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, Self, TypeAlias

from mtl.options import Checked
from mtl.text.example import Labels

Unit: TypeAlias = Literal["fraction", "plain"]
"""The unit of scores: fractions of 1, which are displayed in per cent, or plain numbers."""


def shown(score: float, unit: Unit) -> str:
    """Return a score for display, with two decimals: fractions in per cent.

    >>> shown(0.5, "fraction"), shown(0.5, "plain")
    ('50.00', '0.50')
    """
    return f"{100 * score if unit == 'fraction' else score:.2f}"


class Metric(Checked, ABC):
    """Counts over gold and predicted labels, as strings, and the scores computed from them.

    The counts of parts of a data set add up: `merge` of two halves equals one pass over the whole.
    """

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[Unit] = "fraction"
    """The unit of all its scores."""
    reads: ClassVar[Literal["labels", "sets", "numbers", "log_probs"]] = "labels"
    """The values that it compares: labels, sets, numbers, or gold labels with log-probabilities."""

    @abstractmethod
    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Count more sentences: one string each (classification) or one string per token.

        Metrics that read sets or numbers receive one per sentence.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return scores by name; the first one is the score of the task."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add the counts of another metric of the same class."""

    def per_label(self) -> dict[str, dict[str, float]]:
        """Return precision, recall, f1 and support of each label (or span type)."""
        return {}
