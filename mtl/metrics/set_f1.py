"""F1 of sets of labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

from mtl.metrics.base import UNDEFINED, Pair, items
from mtl.metrics.counts import CountedMetric
from mtl.text.example import Labels


class SetF1(CountedMetric):
    """F1 of multi-label classification (Tsoumakas and Katakis 2007).

    `set_f1` is the micro average over all labels of all sets. `macro_f1` is the mean over the
    labels in the gold data or the predictions. `subset_accuracy` is the fraction of sets that are
    exactly right; an empty set is right if the gold set is empty.
    """

    reads = "sets"

    def __init__(self) -> None:
        super().__init__()
        self.sets = 0
        self.exact = 0

    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Add sentences with one set of labels each, or with one set per token.

        Tokens without a gold set do not count; see also `Metric.update`.

        Raises:
            ValueError: The numbers of sentences or tokens differ, or an item is not a set.
        """
        for expected, guess in _sets(gold, predicted):
            self.counts.add(expected, guess, expected & guess)
            self.sets += 1
            self.exact += expected == guess

    def compute(self) -> dict[str, float]:
        """Return both averages of F1, undefined if all gold sets are empty; the subset accuracy."""
        return {
            "set_f1": self.counts.scores()[2],
            "macro_f1": self.counts.macro()["f1"],
            "subset_accuracy": self.exact / self.sets if self.sets else UNDEFINED,
        }

    def merge(self, other: Self) -> None:
        """Add the counts of another metric of the same class."""
        super().merge(other)
        self.sets += other.sets
        self.exact += other.exact

    @classmethod
    def pairs(cls, gold: Sequence[Labels], predicted: Sequence[Labels]) -> Iterator[Pair]:
        """Yield each label of a gold or predicted set twice; None for the side that lacks it."""
        for expected, guess in _sets(gold, predicted):
            for label in sorted(expected | guess):
                yield label if label in expected else None, label if label in guess else None


def _sets(
    gold: Sequence[Labels], predicted: Sequence[Labels]
) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Yield the gold and the predicted set of each sentence or token with a gold set."""
    for sides in zip(gold, predicted, strict=True):
        for expected, guess in zip(*map(items, sides), strict=True):
            if expected is not None:
                yield _set(expected), _set(guess)


def _set(labels: Labels) -> frozenset[str]:
    if not isinstance(labels, (frozenset, set)):
        raise ValueError(f"expected a set of labels, got {labels!r}")
    return frozenset(labels)
