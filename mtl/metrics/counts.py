"""Counts of correct and wrong labels, and scores computed from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from mtl.metrics.base import UNDEFINED, Metric, Pair
from mtl.text.example import Labels, of_tokens


def ratio(part: float, whole: float) -> float:
    """Return part / whole, or 0 if whole is 0."""
    return part / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """Counts by label (or span type).

    Args:
        gold: Occurrences in the gold data.
        predicted: Occurrences in the predictions.
        correct: Occurrences where both agree.
    """

    gold: Counter[str] = field(default_factory=Counter)
    predicted: Counter[str] = field(default_factory=Counter)
    correct: Counter[str] = field(default_factory=Counter)

    def add(self, gold: Iterable[str], predicted: Iterable[str], correct: Iterable[str]) -> None:
        """Add labels to the counts."""
        self.gold.update(gold)
        self.predicted.update(predicted)
        self.correct.update(correct)

    def merge(self, other: LabelCounts) -> None:
        """Add other counts to these."""
        self.add(other.gold, other.predicted, other.correct)

    def scores(self) -> tuple[float, float, float]:
        """Return micro-averaged precision, recall and F1; undefined without gold labels."""
        if not self.gold:
            return UNDEFINED, UNDEFINED, UNDEFINED
        return _scores(self.correct.total(), self.predicted.total(), self.gold.total())

    def macro(self) -> dict[str, float]:
        """Return the means of F1, precision and recall over the labels; see `scores`."""
        rows = self.table().values()
        return {
            name: sum(row[name] for row in rows) / len(rows) if self.gold else UNDEFINED
            for name in ("f1", "precision", "recall")
        }

    def table(self) -> dict[str, dict[str, float]]:
        """Return precision, recall, f1 and support (gold count) by label."""
        rows: dict[str, dict[str, float]] = {}
        for label in sorted(self.gold.keys() | self.predicted.keys()):
            scores = _scores(self.correct[label], self.predicted[label], self.gold[label])
            rows[label] = dict(zip(("precision", "recall", "f1"), scores, strict=True))
            rows[label]["support"] = self.gold[label]
        return rows


def _scores(correct: int, predicted: int, gold: int) -> tuple[float, float, float]:
    return ratio(correct, predicted), ratio(correct, gold), ratio(2 * correct, predicted + gold)


class CountedMetric(Metric):
    """A metric that depends on `LabelCounts` alone; by default every label counts once.

    Tokens without a gold label do not count.
    """

    def __init__(self) -> None:
        self.counts = LabelCounts()

    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Add sentences to the counts; see `Metric.update`.

        Raises:
            ValueError: The numbers of sentences or tokens differ.
        """
        for expected, guess in aligned(gold, predicted):
            if None in expected:
                known = [pair for pair in zip(expected, guess, strict=True) if pair[0] is not None]
                expected, guess = [gold for gold, _ in known], [own for _, own in known]
            correct = (
                label for label, other in zip(expected, guess, strict=True) if label == other
            )
            self.counts.add(expected, guess, correct)

    def merge(self, other: Self) -> None:
        """Add the counts of another metric of the same class."""
        self.counts.merge(other.counts)

    def per_label(self) -> dict[str, dict[str, float]]:
        """Return precision, recall, f1 and support (gold count) by label or span type."""
        return self.counts.table()

    @classmethod
    def pairs(cls, gold: Sequence[Labels], predicted: Sequence[Labels]) -> Iterator[Pair]:
        """Yield the gold and the predicted label of each token or sentence with a gold label."""
        for sides in aligned(gold, predicted):
            yield from (pair for pair in zip(*sides, strict=True) if pair[0] is not None)


def aligned(
    gold: Sequence[Labels], predicted: Sequence[Labels]
) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield the gold and predicted labels of each sentence; a single label becomes a 1-tuple.

    Raises:
        ValueError: The numbers of sentences or labels differ.
    """
    for pair in zip(gold, predicted, strict=True):
        expected, guess = ((side,) if isinstance(side, str) else of_tokens(side) for side in pair)
        if len(expected) != len(guess):
            raise ValueError(
                f"expected as many predicted as gold labels, got {guess} for {expected}"
            )
        yield expected, guess
