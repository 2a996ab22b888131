"""Contracts of all schedules of the learning rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.training.schedules import SCHEDULES
from tests.contracts.variants import Variant, over, variants

OPTIONS = {
    "plateau": [{}, {"patience": 1, "decay": 0.1}],
    "slanted": [{}, {"rise": 0.3, "ratio": 2.0}],
    "cosine_restarts": [{}, {"cycles": 1, "snapshots": False}, {"cycles": 7}],
    "anneal_restart": [{}, {"patience": 1, "factor": 0.1, "restarts": 1}],
}
VARIANTS = variants(SCHEDULES, OPTIONS)
schedules = over(VARIANTS)
warmed_up = over([variant for variant in VARIANTS if variant.option("warmup") is not None])
scores = st.lists(st.floats(0, 1), max_size=12)


@schedules
@given(total=st.integers(1, 500), step=st.integers(0, 700), s=scores)
def test_the_factor_is_a_fraction(variant: Variant, total: int, step: int, s: list[float]) -> None:
    assert 0 <= variant.make(total).factor(step, s) <= 1


@warmed_up
@given(total=st.integers(1, 500), warmup=st.integers(0, 600), step=st.integers(0, 700), s=scores)
def test_the_factor_is_a_fraction_however_long_the_warm_up(
    variant: Variant, total: int, warmup: int, step: int, s: list[float]
) -> None:
    assert 0 <= variant.make(total, warmup=warmup).factor(step, s) <= 1


@schedules
@given(s=scores)
def test_no_run_restarts_more_often_than_it_may_or_after_its_end(
    variant: Variant, s: list[float]
) -> None:
    schedule = variant.make(100)
    ends = [schedule.finished(s[:n]) for n in range(len(s) + 1)]
    restarts = [n for n in range(len(s) + 1) if schedule.restarting(s[:n])]
    assert ends == sorted(ends)
    assert len(restarts) <= schedule.restarts
    assert not any(ends[n] for n in restarts)


@schedules
def test_the_factor_depends_on_its_arguments_alone(variant: Variant) -> None:
    calls = [(step, [0.5] * (step // 10)) for step in range(50)]
    walked = variant.make(50)
    forth = [walked.factor(*call) for call in calls]
    assert [walked.factor(*call) for call in reversed(calls)] == forth[::-1]
    assert [variant.make(50).factor(*call) for call in calls] == forth


@warmed_up
def test_the_factor_rises_in_a_line_and_never_from_zero(variant: Variant) -> None:
    schedule = variant.make(100, warmup=4)
    rising = [schedule.factor(step, []) for step in range(5)]
    assert rising == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


@warmed_up
def test_without_warm_up_the_first_step_is_a_whole_one(variant: Variant) -> None:
    assert variant.make(100, warmup=0).factor(0, []) == 1


@schedules
def test_every_step_of_the_run_learns_something(variant: Variant) -> None:
    schedule = variant.make(100)
    assert all(schedule.factor(step, []) > 0 for step in range(100))
