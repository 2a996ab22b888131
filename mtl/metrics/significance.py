"""Significance test for the difference of two models on the same test set."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from mtl.metrics.base import defined
from mtl.metrics.counts import CountedMetric, LabelCounts
from mtl.text.example import Labels

_CHUNK = 1000
"""Number of permutations in memory at a time."""


@dataclass(frozen=True)
class SignificanceResult:
    """The scores of two models on the same sentences.

    Args:
        score: The name of the score.
        first: The score of the first model.
        second: The score of the second model.
        p: Two-sided p-value: the probability of a difference at least this large if both models
            are equally good; NaN if the scores are undefined.
        sentences: The number of sentences.
        different: The number of sentences with different predictions.
    """

    score: str
    first: float
    second: float
    p: float
    sentences: int
    different: int

    def to_json(self) -> dict[str, object]:
        """Return the result as JSON types; null where it is undefined."""
        numbers = {name: defined(getattr(self, name)) for name in ("first", "second", "p")}
        return {**asdict(self), **numbers}


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

    Under the null hypothesis that both models are equally good, their predictions for a sentence
    can be swapped. Each draw swaps the predictions of a random subset of the sentences and computes
    both scores again. p = (1 + draws with a difference as large as the real one) / (1 + draws).

    Args:
        make: Returns an empty metric.
        gold: The gold labels of each sentence.
        first: The predictions of the first model.
        second: The predictions of the second model.
        draws: The number of random draws.
        seed: Seed of the draws.
    """
    sides = [_counted(make, gold, guesses) for guesses in (first, second)]
    (name, score), *_ = sides[0].compute().items()
    other = sides[1].compute()[name]
    if math.isnan(score):
        return SignificanceResult(name, score, other, math.nan, len(gold), 0)
    # Swapping equal predictions changes nothing, so only differing sentences are swapped.
    rows = [row for row, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    labels = sorted(set().union(*(c for side in sides for c in _counters(side))))
    totals = [_array(side, labels) for side in sides]
    # The counts that a swap moves from the first model to the second: [sentences, 3, K].
    moved = np.zeros((len(rows), *totals[0].shape))
    for i, row in enumerate(rows):
        pair = [_counted(make, [gold[row]], [guesses[row]]) for guesses in (first, second)]
        moved[i] = _array(pair[0], labels) - _array(pair[1], labels)
    random = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, draws, _CHUNK):
        swapped = random.integers(2, size=(min(_CHUNK, draws - start), len(rows)))
        changes = np.tensordot(swapped.astype(float), moved, 1)  # [draws, 3, K]
        one, two = (
            np.array([_score(make, counts, labels) for counts in total + sign * changes])
            for total, sign in zip(totals, (-1, 1), strict=True)
        )
        # The tolerance counts ties: equal differences can deviate in the last bit.
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
    return np.array([[c[label] for label in labels] for c in _counters(metric)], dtype=float)


def _score(make: Callable[[], CountedMetric], counts: np.ndarray, labels: Sequence[str]) -> float:
    """Return the main score of the counts `[3, K]`."""
    metric = make()
    gold, predicted, correct = (
        Counter({label: int(n) for label, n in zip(labels, row, strict=True) if n})
        for row in counts.tolist()
    )
    # Scores depend on the counts alone, so permuted counts need no permuted labels.
    metric.counts = LabelCounts(gold, predicted, correct)
    return next(iter(metric.compute().values()))
