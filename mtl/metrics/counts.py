"""Counts of right and wrong labels, and the scores made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from mtl.metrics.base import Metric
from mtl.text.example import Labels, of_tokens


def ratio(part: float, whole: float) -> float:
    """Return part / whole, 0 when there is no whole."""
    return part / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """How often each label (or span type) is in the gold data, is predicted, and is right.

    Args:
        gold: Label to how often it is in the gold data.
        predicted: Label to how often it was predicted.
        correct: Label to how often both agree.
    """

    gold: Counter[str] = field(default_factory=Counter)
    predicted: Counter[str] = field(default_factory=Counter)
    correct: Counter[str] = field(default_factory=Counter)

    def add(self, gold: Iterable[str], predicted: Iterable[str], correct: Iterable[str]) -> None:
        """Count the labels of more data."""
        self.gold.update(gold)
        self.predicted.update(predicted)
        self.correct.update(correct)

    def merge(self, other: LabelCounts) -> None:
        """Add other counts to these."""
        self.add(other.gold, other.predicted, other.correct)

    def scores(self) -> tuple[float, float, float]:
        """Return precision, recall and F1 over all labels taken together."""
        return _scores(self.correct.total(), self.predicted.total(), self.gold.total())

    def table(self) -> dict[str, dict[str, float]]:
        """Return precision, recall, f1 and support (how often in the gold data) of each label."""
        rows: dict[str, dict[str, float]] = {}
        for label in sorted(self.gold.keys() | self.predicted.keys()):
            found = _scores(self.correct[label], self.predicted[label], self.gold[label])
            rows[label] = dict(zip(("precision", "recall", "f1"), found, strict=True))
            rows[label]["support"] = self.gold[label]
        return rows


def _scores(correct: int, predicted: int, gold: int) -> tuple[float, float, float]:
    return ratio(correct, predicted), ratio(correct, gold), ratio(2 * correct, predicted + gold)


class CountedMetric(Metric):
    """A metric made of `LabelCounts`, by default counted label by label."""

    def __init__(self) -> None:
        self.counts = LabelCounts()

    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Count more sentences.

        Raises:
            ValueError: Both sides have different numbers of sentences or of tokens.
        """
        for right, guess in aligned(gold, predicted):
            both = (label for label, other in zip(right, guess, strict=True) if label == other)
            self.counts.add(right, guess, both)

    def merge(self, other: Self) -> None:
        """Add the counts of another one."""
        self.counts.merge(other.counts)

    def per_label(self) -> dict[str, dict[str, float]]:
        """Return precision, recall, f1 and support of each label (or span type)."""
        return self.counts.table()


def aligned(
    gold: Sequence[Labels], predicted: Sequence[Labels]
) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield the gold and predicted labels of each sentence, one label as a sequence of one.

    Raises:
        ValueError: Both sides have different numbers of sentences or of labels.
    """
    for pair in zip(gold, predicted, strict=True):
        right, guess = ((side,) if isinstance(side, str) else of_tokens(side) for side in pair)
        if len(right) != len(guess):
            raise ValueError(f"expected as many gold as predicted labels, got {right} and {guess}")
        yield right, guess
