"""F1 of sets of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from mtl.metrics.counts import CountedMetric, ratio
from mtl.text.example import Labels


class SetF1(CountedMetric):
    """How well the sets of labels that sentences have are found (Tsoumakas and Katakis 2007).

    `set_f1` is over all labels of all sets, `macro_f1` the mean over the labels that are in the
    gold data or were predicted, and `subset_accuracy` the fraction of sets that are right as a
    whole: an empty set is right where nothing was to be found.
    """

    reads = "sets"

    def __init__(self) -> None:
        super().__init__()
        self.sets = 0
        self.exact = 0

    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Count more sentences, a set each.

        Raises:
            ValueError: Both sides have different numbers of sentences, or hold something else.
        """
        for pair in zip(gold, predicted, strict=True):
            right, guess = (_set(side) for side in pair)
            self.counts.add(right, guess, right & guess)
            self.sets += 1
            self.exact += right == guess

    def compute(self) -> dict[str, float]:
        """Return both averages of F1 and the accuracy of sets; 0 if nothing was counted."""
        rows = self.counts.table().values()
        return {
            "set_f1": self.counts.scores()[2],
            "macro_f1": ratio(sum(row["f1"] for row in rows), len(rows)),
            "subset_accuracy": ratio(self.exact, self.sets),
        }

    def merge(self, other: Self) -> None:
        """Add the counts of another one."""
        super().merge(other)
        self.sets += other.sets
        self.exact += other.exact


def _set(labels: Labels) -> frozenset[str]:
    if not isinstance(labels, frozenset):
        raise ValueError(f"expected a set of labels, got {labels!r}")
    return labels
