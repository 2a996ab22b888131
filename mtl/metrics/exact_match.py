"""Exact match of whole sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from mtl.metrics.base import UNDEFINED
from mtl.metrics.counts import CountedMetric, aligned
from mtl.text.example import Labels


class ExactMatch(CountedMetric):
    """The fraction of sentences in which all tokens have the correct label (–).

    Tokens without a gold label do not count, and neither do sentences of such tokens alone.
    `accuracy` is the fraction of tokens.
    """

    level: ClassVar = "token"

    def __init__(self) -> None:
        super().__init__()
        self.sentences = 0
        self.exact = 0

    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Add sentences to the counts; see `CountedMetric.update`."""
        super().update(gold, predicted)
        for sides in aligned(gold, predicted):
            equal = [right == own for right, own in zip(*sides, strict=True) if right is not None]
            self.sentences += bool(equal)
            self.exact += bool(equal) and all(equal)

    def compute(self) -> dict[str, float]:
        """Return both fractions; undefined if nothing was counted."""
        return {
            "exact_match": self.exact / self.sentences if self.sentences else UNDEFINED,
            "accuracy": self.counts.scores()[1],
        }

    def merge(self, other: Self) -> None:
        """Add the counts of another metric of the same class."""
        super().merge(other)
        self.sentences += other.sentences
        self.exact += other.exact
