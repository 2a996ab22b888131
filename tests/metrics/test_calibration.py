"""Calibration errors and coverage, against short formulas and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mtl.metrics.calibration import Reliability


def drawn(count: int, seed: int = 0, power: float = 1.0) -> Reliability:
    """Return answers whose confidences are right on average if the power is 1."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(3, 1, count)
    return Reliability(confidence, rng.random(count) < confidence**power)


def expected_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_], bins: int) -> float:
    """Return the error of Guo et al. (2017), equation 3, one bin after another."""
    total = 0.0
    for index in range(bins):
        inside = (confidence > index / bins) & (confidence <= (index + 1) / bins)
        if index == 0:
            inside |= confidence == 0
        if inside.any():
            gap = abs(correct[inside].mean() - confidence[inside].mean())
            total += inside.sum() / len(confidence) * gap
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("count", [1, 7, 5000])
def test_the_error_is_the_formula(count: int, bins: int) -> None:
    answers = drawn(count, power=2)
    found = answers.error(bins)
    assert found == pytest.approx(expected_error(answers.confidence, answers.correct, bins))


def test_the_bins_are_the_ones_of_scikit_learn() -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    answers = drawn(3000, power=3)
    right, mean = calibration.calibration_curve(answers.correct, answers.confidence, n_bins=15)
    own = [each for each in answers.bins() if each.number]
    assert [each.accuracy for each in own] == pytest.approx(right)
    assert [each.confidence for each in own] == pytest.approx(mean)


def test_confidences_at_the_ends_and_between_bins() -> None:
    answers = Reliability.of([(0.0, False), (0.2, False), (0.2 + 1e-9, True), (1.0, True)])
    assert [own.number for own in answers.bins(5)] == [2, 1, 0, 0, 1]
    assert answers.error(5) == pytest.approx((2 * 0.1 + 0.8 - 1e-9) / 4)


def test_the_order_of_answers_does_not_matter() -> None:
    answers, order = drawn(500), np.random.default_rng(1).permutation(500)
    other = Reliability(answers.confidence[order], answers.correct[order])
    assert other.error() == pytest.approx(answers.error())
    assert other.risk_coverage() == answers.risk_coverage()


def test_perfect_confidences_have_the_error_of_chance() -> None:
    draws = [drawn(400, seed) for seed in range(100)]
    expected = np.mean([own.chance() for own in draws])
    assert np.mean([own.error() for own in draws]) == pytest.approx(expected, rel=0.1)
    assert drawn(100_000).error() < 0.01 < 0.1 < drawn(100_000, power=3).error()


def test_coverage_and_accuracy_are_counted() -> None:
    answers = drawn(50)
    for threshold in (0.0, 0.5, 0.9, 1.0):
        kept = [
            c for c, p in zip(answers.correct, answers.confidence, strict=True) if p >= threshold
        ]
        assert answers.coverage(threshold) == len(kept) / 50
        expected = sum(kept) / len(kept) if kept else math.nan
        assert answers.accuracy(threshold) == pytest.approx(expected, nan_ok=True)
    for wanted, point in zip((1.0, 0.5), answers.risk_coverage((1.0, 0.5)), strict=True):
        assert point.coverage == wanted
        assert point.accuracy == answers.accuracy(point.threshold)


def test_answers_of_equal_confidence_stay_together() -> None:
    answers = Reliability.of([(0.9, True)] * 3 + [(0.1, False)])
    assert [tuple(point) for point in answers.risk_coverage((0.5,))] == [(0.75, 0.9, 1.0)]


def test_without_answers_there_is_no_error() -> None:
    answers = Reliability.of([])
    numbers = answers.error(), answers.chance(), answers.mean(), answers.accuracy()
    assert all(map(math.isnan, numbers))
    assert answers.risk_coverage() == []
    assert answers.to_dict()["ece"] is None
