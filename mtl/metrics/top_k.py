"""Accuracy of the most probable labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

from mtl.metrics.base import UNDEFINED, Pair, items
from mtl.metrics.counts import CountedMetric
from mtl.options import PositiveInt
from mtl.text.example import Labels


class TopK(CountedMetric):
    """The fraction of sentences whose label is among the k most probable labels (–).

    `accuracy` and the scores of single labels compare the most probable label alone.

    Args:
        k: The number of labels.
    """

    level: ClassVar = "sentence"
    ranked: ClassVar[bool] = True

    def __init__(self, *, k: PositiveInt = 5) -> None:
        super().__init__()
        self.k = k
        self.sentences = 0
        self.found = 0

    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Add sentences to the counts.

        Args:
            gold: One label per sentence.
            predicted: The labels in descending order of their probabilities, at least k or all of
                them; or the most probable label alone.
        """
        super().update(gold, _first(predicted))
        self.sentences += len(gold)
        pairs = zip(gold, predicted, strict=True)
        self.found += sum(right in items(guess)[: self.k] for right, guess in pairs)

    def compute(self) -> dict[str, float]:
        """Return both fractions; undefined if nothing was counted."""
        return {
            "top_k": self.found / self.sentences if self.sentences else UNDEFINED,
            "accuracy": self.counts.scores()[1],
        }

    def merge(self, other: Self) -> None:
        """Add the counts of another metric of the same class."""
        super().merge(other)
        self.sentences += other.sentences
        self.found += other.found

    @classmethod
    def pairs(cls, gold: Sequence[Labels], predicted: Sequence[Labels]) -> Iterator[Pair]:
        """Yield the gold label and the most probable label of each sentence."""
        return super().pairs(gold, _first(predicted))


def _first(rankings: Sequence[Labels]) -> list[Labels]:
    return [items(ranking)[0] for ranking in rankings]
