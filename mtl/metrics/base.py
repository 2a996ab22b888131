"""The contract of metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

from mtl.text.example import Labels


class Metric(ABC):
    """Counts over gold and predicted labels, as strings, and the scores made of them.

    Counts of parts of a data set add up: `merge` of two halves equals one pass over the whole.
    """

    higher_is_better: ClassVar[bool] = True

    @abstractmethod
    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Count more sentences: one item each, a string (classification) or one string a token."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return scores by name, fractions in [0, 1]; the first one is the score of the task."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add the counts of another metric of the same class."""

    def per_label(self) -> dict[str, dict[str, float]]:
        """Return precision, recall, f1 and support of each label (or span type)."""
        return {}
