"""Metrics of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Self

from mtl.metrics.base import UNDEFINED, Metric, items
from mtl.metrics.counts import ratio
from mtl.text.example import Labels


class NumberMetric(Metric):
    """Base of metrics of pairs of numbers; it stores all pairs."""

    reads = "numbers"

    def __init__(self) -> None:
        self.gold: list[float] = []
        self.predicted: list[float] = []

    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Add sentences with one number each, or with one number per token.

        Tokens without a gold number do not count; see also `Metric.update`.

        Raises:
            ValueError: The numbers of sentences or tokens differ, or an item is not a number.
        """
        for sides in zip(gold, predicted, strict=True):
            for expected, guess in zip(*map(items, sides), strict=True):
                if expected is not None:
                    self.gold.append(_number(expected))
                    self.predicted.append(_number(guess))

    def merge(self, other: Self) -> None:
        """Add the numbers of another metric of the same class."""
        self.gold += other.gold
        self.predicted += other.predicted


class Pearson(NumberMetric):
    """Correlation of predicted and gold numbers, from −1 to 1 (Pearson 1895).

    `pearson` measures a linear relation. `spearman` (1904) measures the same order: it is the
    correlation of ranks, where equal numbers share their mean rank.
    """

    def compute(self) -> dict[str, float]:
        """Return both correlations: undefined if all gold numbers are equal.

        If only the predicted numbers are equal, both are 0.
        """
        return {
            "pearson": _correlation(self.gold, self.predicted),
            "spearman": _correlation(_ranks(self.gold), _ranks(self.predicted)),
        }


class SquaredError(NumberMetric):
    """Mean squared error, the mean of (y − ŷ)², in the squared unit of the numbers (–)."""

    higher_is_better = False
    unit = "plain"

    def compute(self) -> dict[str, float]:
        """Return the mean squared error; undefined if nothing was counted."""
        pairs = zip(self.gold, self.predicted, strict=True)
        total = math.fsum((expected - guess) ** 2 for expected, guess in pairs)
        return {"squared_error": total / len(self.gold) if self.gold else UNDEFINED}


def _correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Pearson's correlation with gold numbers x."""
    if len(set(x)) < 2:
        return UNDEFINED
    # fsum is exact, so merged halves give the same result in any order.
    dx, dy = _deviations(x), _deviations(y)
    norms = math.sqrt(math.fsum(a * a for a in dx)) * math.sqrt(math.fsum(b * b for b in dy))
    return ratio(math.fsum(a * b for a, b in zip(dx, dy, strict=True)), norms)


def _deviations(values: Sequence[float]) -> list[float]:
    # Rounding of the mean would give equal values small deviations, and any correlation.
    if len(set(values)) < 2:
        return [0.0] * len(values)
    mean = math.fsum(values) / len(values)
    return [value - mean for value in values]


def _ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value, from 0; equal values share their mean rank.

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
    if not isinstance(labels, (int, float)):
        raise ValueError(f"expected a number, got {labels!r}")
    return float(labels)
