from __future__ import annotations

import pytest

from mtl.training.schedules import Constant, Cosine, Linear, Plateau, Schedule


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(8, warmup=0), [1, 1, 1, 1, 1]),
        (Linear(8, warmup=0), [1, 0.75, 0.5, 0.25, 0]),
        (Cosine(8, warmup=0), [1, 0.5 + 8**-0.5, 0.5, 0.5 - 8**-0.5, 0]),
    ],
)
def test_factors_over_the_run(schedule: Schedule, expected: list[float]) -> None:
    assert [schedule.factor(step, []) for step in range(0, 9, 2)] == pytest.approx(expected)


def test_the_fall_begins_after_the_warm_up() -> None:
    schedule = Linear(12, warmup=4)
    assert schedule.factor(4, []) == 1
    assert schedule.factor(8, []) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("scores", "cuts"),
    [
        ([], 0),
        ([0.5], 0),
        ([0.5, 0.4], 0),
        ([0.5, 0.4, 0.5], 1),
        ([0.5, 0.4, 0.6, 0.5], 0),
        ([0.5, 0.4, 0.4, 0.4, 0.4], 2),
        ([0.5, 0.4, 0.4, 0.6, 0.5, 0.5], 2),
    ],
)
def test_a_plateau_brings_a_cut_each_time_patience_is_out(scores: list[float], cuts: int) -> None:
    schedule = Plateau(100, warmup=0, decay=0.1, patience=2)
    assert schedule.factor(50, scores) == pytest.approx(0.1**cuts)
