"""The permutation test between two models."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from mtl.metrics import F1, Accuracy, SpanF1
from mtl.metrics.counts import CountedMetric
from mtl.metrics.significance import permutation_test

TAGS = ["O", "B-X", "B-Y"]
METRICS = pytest.mark.parametrize("make", [Accuracy, F1, SpanF1])


def sentences(count: int, seed: int) -> tuple[list[tuple[str, ...]], ...]:
    """Return gold tags, and the tags of a good and of a worse model."""
    rng = random.Random(seed)

    def spoilt(tags: tuple[str, ...], rate: float) -> tuple[str, ...]:
        return tuple(rng.choice(TAGS) if rng.random() < rate else tag for tag in tags)

    gold = [tuple(rng.choice(TAGS) for _ in range(rng.randint(1, 6))) for _ in range(count)]
    return gold, [spoilt(tags, 0.2) for tags in gold], [spoilt(tags, 0.5) for tags in gold]


def exact(make: Callable[[], CountedMetric], gold: list, first: list, second: list) -> float:
    """The share of all 2^n exchanges whose difference is as large as the real one."""

    def difference(exchange: tuple[bool, ...]) -> float:
        sides = make(), make()
        for right, one, other, swap in zip(gold, first, second, exchange, strict=True):
            sides[0].update([right], [other if swap else one])
            sides[1].update([right], [one if swap else other])
        one, other = (next(iter(side.compute().values())) for side in sides)
        return abs(one - other)

    real = difference((False,) * len(gold)) - 1e-12
    found = [difference(e) >= real for e in itertools.product([False, True], repeat=len(gold))]
    return sum(found) / len(found)


@pytest.mark.sampled(3)
@METRICS
@pytest.mark.parametrize(("count", "seed"), [(1, 1), (4, 2), (7, 3), (9, 4), (10, 5)])
def test_p_is_the_share_of_exchanges_that_differ_as_much(
    make: Callable[[], CountedMetric], count: int, seed: int
) -> None:
    data = sentences(count, seed)
    found = permutation_test(make, *data, draws=4000)
    assert found.p == pytest.approx(exact(make, *data), abs=0.03)  # four standard errors


@METRICS
def test_scores_are_those_of_the_metric(make: Callable[[], CountedMetric]) -> None:
    gold, first, second = sentences(20, 6)
    found = permutation_test(make, gold, first, second, draws=1)
    for score, guesses in ((found.first, first), (found.second, second)):
        metric = make()
        metric.update(gold, guesses)
        assert score == pytest.approx(metric.compute()[found.score])
    different = sum(one != other for one, other in zip(first, second, strict=True))
    assert (found.sentences, found.different) == (20, different)


def test_equal_models_do_not_differ() -> None:
    gold, first, _ = sentences(5, 7)
    assert permutation_test(Accuracy, gold, first, first, draws=10).p == 1


def test_no_p_is_zero() -> None:
    gold = ["a"] * 60
    found = permutation_test(Accuracy, gold, gold, ["b"] * 60, draws=99)
    assert found.p == 1 / 100


def test_the_order_of_the_models_does_not_matter() -> None:
    gold, first, second = sentences(30, 8)
    one = permutation_test(SpanF1, gold, first, second, draws=500)
    other = permutation_test(SpanF1, gold, second, first, draws=500)
    assert (one.first, one.p) == (other.second, other.p)


def test_the_seed_fixes_p() -> None:
    data = sentences(12, 9)
    found = [permutation_test(F1, *data, draws=200, seed=seed).p for seed in (1, 1, 2, 3)]
    assert found[0] == found[1]
    assert len(set(found)) > 1
