"""Schedules of the learning rate."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from mtl.errors import OptionError
from mtl.options import RunContext
from mtl.training.schedules import (
    AnnealRestart,
    Constant,
    Cosine,
    CosineRestarts,
    Linear,
    Milestones,
    OneCycle,
    Plateau,
    Schedule,
    SlantedTriangular,
)


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


def test_milestones_without_points_are_refused() -> None:
    with pytest.raises(OptionError, match="points: expected at least one number"):
        Milestones(8, points=())


@pytest.mark.parametrize(("total", "cycles"), [(40, 4), (9, 3), (7, 1)])
def test_each_cycle_falls_from_the_full_rate_as_in_the_paper(total: int, cycles: int) -> None:
    """Eq. 2 of Huang et al. (2017), in which steps count from 1."""
    length = math.ceil(total / cycles)
    expected = [
        (math.cos(math.pi * ((t - 1) % length) / length) + 1) / 2 for t in range(1, total + 1)
    ]
    schedule = CosineRestarts(total, warmup=0, cycles=cycles)
    assert [schedule.factor(t, []) for t in range(total)] == pytest.approx(expected)
    assert expected.count(1) == cycles


@pytest.mark.parametrize(("total", "rise", "divide"), [(40, 0.3, 25.0), (11, 0.5, 4.0)])
def test_one_cycle_is_that_of_torch(total: int, rise: float, divide: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, total_steps=total, pct_start=rise, div_factor=divide, cycle_momentum=False
    )
    expected = []
    for _ in range(total):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < total:
            theirs.step()
    schedule = OneCycle(total, rise=rise, divide=divide)
    assert [schedule.factor(t, []) for t in range(total)] == pytest.approx(expected)


def test_one_cycle_of_a_few_steps_stays_between_its_ends() -> None:
    for total in range(1, 6):
        factors = [OneCycle(total, rise=0.1).factor(t, []) for t in range(total + 2)]
        assert all(0 < factor <= 1 for factor in factors)


def test_the_rate_falls_at_each_milestone() -> None:
    schedule = Milestones(100, warmup=0, decay=0.5, points=(0.5, 0.75))
    factors = [schedule.factor(step, []) for step in range(100)]
    assert factors == [1.0] * 50 + [0.5] * 25 + [0.25] * 25


def test_epochs_that_cannot_be_divided_into_cycles_are_an_error() -> None:
    options = {"warmup": None, "cycles": 4, "snapshots": True}
    assert not list(CosineRestarts.check(options, RunContext(("pos",), epochs=8)))
    (error,) = CosineRestarts.check(options, RunContext(("pos",), epochs=6))
    assert error.option == "cycles"
    assert "training.epochs (6), got 4" in error.message


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


def eq_3(t: int, total: int, cut_frac: float, ratio: float) -> float:
    """The factor of Howard & Ruder (2018), Eq. 3."""
    cut = math.floor(total * cut_frac)
    p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / cut_frac - 1))
    return (1 + p * (ratio - 1)) / ratio


@pytest.mark.parametrize(("rise", "ratio"), [(0.1, 32.0), (0.25, 4.0)])
def test_the_slanted_triangle_is_that_of_the_paper(rise: float, ratio: float) -> None:
    schedule = SlantedTriangular(200, rise=rise, ratio=ratio)
    expected = [eq_3(t, 200, rise, ratio) for t in range(201)]
    assert [schedule.factor(t, []) for t in range(201)] == pytest.approx(expected)


@pytest.mark.parametrize("rise", [0.0, 0.1, 0.34, 1.0])
@pytest.mark.parametrize("total", [1, 2, 7, 33])
def test_a_short_triangle_peaks_once_and_stays_above_its_lowest(total: int, rise: float) -> None:
    schedule = SlantedTriangular(total, rise=rise, ratio=10.0)
    factors = [schedule.factor(t, []) for t in range(total + 5)]
    peak = factors.index(max(factors))
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert min(factors) == pytest.approx(0.1)
    assert factors[peak] == 1


@pytest.mark.parametrize(
    ("scores", "factor", "restarting", "finished"),
    [
        ([], 1, False, False),
        ([0.5, 0.4], 1, False, False),
        ([0.5, 0.4, 0.5], 0.1, True, False),
        ([0.5, 0.4, 0.5, 0.4], 0.1, False, False),
        ([0.5, 0.4, 0.5, 0.6, 0.4], 0.1, False, False),
        ([0.5, 0.4, 0.5, 0.4, 0.4], 0.01, True, False),
        ([0.5, 0.4, 0.5, 0.4, 0.4, 0.4, 0.4], 0.01, False, True),
    ],
)
def test_each_lapse_of_patience_brings_a_restart_and_the_last_one_the_end(
    scores: list[float], factor: float, restarting: bool, finished: bool
) -> None:
    schedule = AnnealRestart(100, warmup=0, factor=0.1, restarts=2, patience=2)
    assert schedule.factor(50, scores) == pytest.approx(factor)
    assert schedule.restarting(scores) == restarting
    assert schedule.finished(scores) == finished


@pytest.mark.parametrize(("steps", "warmup"), [(3, 0), (150, 37), (400, 100), (9000, 100)])
def test_the_default_warmup_is_a_quarter_of_an_epoch_and_at_most_100(
    steps: int, warmup: int
) -> None:
    assert Linear.with_warmup({"warmup": None}, steps) == {"warmup": warmup}
    assert Linear.with_warmup({"warmup": 7}, steps) == {"warmup": 7}
    assert SlantedTriangular.with_warmup({"rise": 0.1}, steps) == {"rise": 0.1}


def notes(cls: type[Schedule], options: dict[str, Any], **run: int) -> list[str]:
    return list(cls.notes(options, RunContext(("pos",), **run)))


def test_a_warmup_that_is_too_long_for_the_run_is_noted() -> None:
    assert notes(Linear, {"warmup": 100}, steps=200) == []
    assert notes(Linear, {"warmup": None}, steps=3) == []
    assert notes(Linear, {"warmup": 100}, steps=150) == [
        "100 of the 150 steps of the run are warm-up"
    ]
    assert notes(Linear, {"warmup": 100}, steps=76) == [
        "the warm-up of 100 steps is longer than the run of 76, so the learning rate never reaches "
        "its value"
    ]


@pytest.mark.parametrize("cls", [Plateau, AnnealRestart])
def test_a_note_says_that_the_rate_never_falls(cls: type[Schedule]) -> None:
    options = {"warmup": 0, "patience": 2}
    (note,) = notes(cls, options, steps=9, epochs=3)
    assert note.startswith("the learning rate falls after epoch 3 at the earliest")
    assert notes(cls, options, steps=9, epochs=4) == []
    # The claim, by the schedule itself: three epochs without any improvement after the first.
    assert cls(9, patience=2).factor(8, [1.0, 0.5]) == 1 > cls(9, patience=2).factor(8, [1, 0.5, 0])


def test_one_cycle_has_a_note() -> None:
    options = {"warmup": 0, "cycles": 1, "snapshots": True}
    context = RunContext(tasks=("pos",), epochs=4, steps=40)
    (note,) = CosineRestarts.notes(options, context)
    assert "one cycle is the schedule `cosine`" in note
    assert not [*CosineRestarts.notes({**options, "cycles": 2}, context)]
