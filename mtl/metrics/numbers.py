"""How close numbers are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Self

from mtl.metrics.base import Metric
from mtl.metrics.counts import ratio
from mtl.text.example import Labels


class NumberMetric(Metric):
    """A metric of pairs of numbers, which are all kept."""

    reads = "numbers"

    def __init__(self) -> None:
        self.gold: list[float] = []
        self.predicted: list[float] = []

    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Take in more sentences, a number each.

        Raises:
            ValueError: Both sides have different numbers of sentences, or hold something else.
        """
        for right, guess in zip(gold, predicted, strict=True):
            self.gold.append(_number(right))
            self.predicted.append(_number(guess))

    def merge(self, other: Self) -> None:
        """Add the numbers of another one."""
        self.gold += other.gold
        self.predicted += other.predicted


class Pearson(NumberMetric):
    """How far numbers rise and fall with the right ones: 1 as they do, 0 not at all (Pearson 1895).

    `pearson` asks for a straight line, `spearman` (1904) for the same order alone: it is the
    correlation of ranks, those of equal numbers being their mean.
    """

    def compute(self) -> dict[str, float]:
        """Return both correlations, 0 where one side is always the same."""
        return {
            "pearson": _correlation(self.gold, self.predicted),
            "spearman": _correlation(_ranks(self.gold), _ranks(self.predicted)),
        }


class SquaredError(NumberMetric):
    """The mean of (y − ŷ)², in the square of the unit that the numbers have (–)."""

    higher_is_better = False
    unit = "plain"

    def compute(self) -> dict[str, float]:
        """Return the mean squared error, 0 if nothing was counted."""
        pairs = zip(self.gold, self.predicted, strict=True)
        total = math.fsum((right - guess) ** 2 for right, guess in pairs)
        return {"squared_error": ratio(total, len(self.gold))}


def _correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Pearson's correlation; sums are exact, so that their order does not matter."""
    dx, dy = _deviations(x), _deviations(y)
    spread = math.sqrt(math.fsum(a * a for a in dx)) * math.sqrt(math.fsum(b * b for b in dy))
    return ratio(math.fsum(a * b for a, b in zip(dx, dy, strict=True)), spread)


def _deviations(values: Sequence[float]) -> list[float]:
    if len(set(values)) < 2:
        return [0.0] * len(values)
    mean = math.fsum(values) / len(values)
    return [value - mean for value in values]


def _ranks(values: Sequence[float]) -> list[float]:
    """Return the place of each value, from 0; equal ones share the mean of theirs.

    >>> _ranks([5.0, 1.0, 5.0])
    [1.5, 0.0, 1.5]
    """
    mean_rank: dict[float, float] = {}
    start = 0
    for value, group in groupby(sorted(values)):
        count = sum(1 for _ in group)
        mean_rank[value] = start + (count - 1) / 2
        start += count
    return [mean_rank[value] for value in values]


def _number(labels: Labels) -> float:
    if not isinstance(labels, float):
        raise ValueError(f"expected a number, got {labels!r}")
    return labels
