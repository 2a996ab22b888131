"""Divergence between distributions over labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

from mtl.metrics.base import UNDEFINED, Metric, items
from mtl.text.example import Distribution, Labels

_TINY = 1e-12
"""The lower bound of a probability: a label that the training data lacks costs 28 nats."""


class Divergence(Metric):
    """Mean KL divergence of predicted from gold distributions (Kullback and Leibler 1951).

    `divergence` is KL(q ‖ p) in nats, and `jensen_shannon` the symmetric divergence in bits, from
    0 to 1 (Lin 1991; Uma et al. 2021). Tokens without a gold distribution do not count.
    """

    higher_is_better = False
    unit = "plain"
    reads = "distributions"

    def __init__(self) -> None:
        self.kl: list[float] = []
        self.js: list[float] = []

    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Add more sentences, with one distribution per sentence or per token.

        Raises:
            ValueError: The lengths differ, or a value is not a distribution.
        """
        for q, p in _pairs(gold, predicted):
            self.kl.append(_kl(q, p))
            middle = {label: (q.get(label, 0) + p.get(label, 0)) / 2 for label in {**q, **p}}
            self.js.append((_kl(q, middle) + _kl(p, middle)) / 2 / math.log(2))

    def compute(self) -> dict[str, float]:
        """Return the means; undefined if nothing was counted."""
        return {
            name: math.fsum(values) / len(values) if values else UNDEFINED
            for name, values in (("divergence", self.kl), ("jensen_shannon", self.js))
        }

    def merge(self, other: Self) -> None:
        """Add the sentences or tokens of another metric."""
        self.kl += other.kl
        self.js += other.js


def _pairs(
    gold: Sequence[Labels], predicted: Sequence[Labels]
) -> list[tuple[Distribution, Distribution]]:
    pairs = []
    for right, guess in zip(gold, predicted, strict=True):
        for q, p in zip(items(right), items(guess), strict=True):
            if q is None:
                continue
            if not isinstance(q, dict) or not isinstance(p, dict):
                raise ValueError(f"expected distributions, got {q!r} and {p!r}")
            pairs.append((q, p))
    return pairs


def _kl(q: Distribution, p: Distribution) -> float:
    return math.fsum(x * math.log(x / max(p.get(label, 0), _TINY)) for label, x in q.items() if x)
