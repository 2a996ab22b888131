"""Whether one model is better than another, or was lucky with the sentences of a test set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mtl.metrics.counts import CountedMetric, LabelCounts
from mtl.text.example import Labels

_CHUNK = 1000
"""Draws that are held in memory at a time."""


@dataclass(frozen=True)
class SignificanceResult:
    """The scores of two models on the same sentences.

    Args:
        score: The name of the score.
        first: That of the first model.
        second: That of the second one.
        p: How probable a difference of this size, of either sign, is if both are equally good.
        sentences: The number of sentences.
        different: The number of those that the two label differently.
    """

    score: str
    first: float
    second: float
    p: float
    sentences: int
    different: int


def permutation_test(
    make: Callable[[], CountedMetric],
    gold: Sequence[Labels],
    first: Sequence[Labels],
    second: Sequence[Labels],
    *,
    draws: int = 10_000,
    seed: int = 1,
) -> SignificanceResult:
    """Compare two models by a paired, two-sided permutation test (Noreen 1989; Yeh 2000).

    If both were equally good, it would not matter which of the two labelled a sentence. So the
    labels of each sentence are exchanged or not, by chance, and both scores are computed again.
    p = (1 + draws whose difference is as large as the real one) / (1 + draws).

    Args:
        make: Makes the metric, empty.
        gold: The gold labels of each sentence.
        first: Those that the first model gives.
        second: Those that the second one gives.
        draws: How often the labels are exchanged.
        seed: The same seed gives the same p.
    """
    sides = [_counted(make, gold, guesses) for guesses in (first, second)]
    (name, score), *_ = sides[0].compute().items()
    other = sides[1].compute()[name]
    rows = [row for row, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    labels = sorted(set().union(*(c for side in sides for c in _counters(side))))
    totals = [_array(side, labels) for side in sides]
    moved = np.zeros((len(rows), *totals[0].shape))  # from the first side to the second, exchanged
    for i, row in enumerate(rows):
        pair = [_counted(make, [gold[row]], [guesses[row]]) for guesses in (first, second)]
        moved[i] = _array(pair[0], labels) - _array(pair[1], labels)
    random = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, draws, _CHUNK):
        exchanged = random.integers(2, size=(min(_CHUNK, draws - start), len(rows)))
        changes = np.tensordot(exchanged.astype(float), moved, 1)  # [draws, 3, K]
        one, two = (
            np.array([_score(make, counts, labels) for counts in total + sign * changes])
            for total, sign in zip(totals, (-1, 1), strict=True)
        )
        # The scores of an exchange and of its opposite differ in the last bit.
        extreme += int((abs(one - two) >= abs(score - other) - 1e-12).sum())
    return SignificanceResult(name, score, other, (1 + extreme) / (1 + draws), len(gold), len(rows))


def _counted(
    make: Callable[[], CountedMetric], gold: Sequence[Labels], guesses: Sequence[Labels]
) -> CountedMetric:
    metric = make()
    metric.update(gold, guesses)
    return metric


def _counters(metric: CountedMetric) -> tuple[Counter[str], Counter[str], Counter[str]]:
    return metric.counts.gold, metric.counts.predicted, metric.counts.correct


def _array(metric: CountedMetric, labels: Sequence[str]) -> np.ndarray:
    """Return the counts of a metric, `[3, K]`."""
    return np.array([[own[label] for label in labels] for own in _counters(metric)], dtype=float)


def _score(make: Callable[[], CountedMetric], counts: np.ndarray, labels: Sequence[str]) -> float:
    """Return the score that such counts, `[3, K]`, make."""
    metric = make()
    gold, predicted, correct = (
        Counter({label: int(n) for label, n in zip(labels, row, strict=True) if n})
        for row in counts.tolist()
    )
    metric.counts = LabelCounts(gold, predicted, correct)
    return next(iter(metric.compute().values()))
