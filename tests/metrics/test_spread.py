"""Means, standard deviations and intervals of scores over several runs."""

from __future__ import annotations

import statistics

import pytest

from mtl.metrics.spread import Spread, spread, student_quantile


@pytest.mark.parametrize(
    ("p", "degrees", "quantile"),
    [
        *((0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.975, 9, 2.2622), (0.975, 30, 2.0423)),
        *((0.95, 4, 2.1318), (0.75, 1, 1.0), (0.975, 1000, 1.9623)),
    ],
)
def test_quantiles_are_those_of_the_printed_tables(p: float, degrees: int, quantile: float) -> None:
    assert student_quantile(p, degrees) == pytest.approx(quantile, rel=1e-4)


def test_the_interval_is_the_quantile_times_the_error_of_the_mean() -> None:
    values = [0.70, 0.74, 0.81]
    own = Spread(values)
    assert own.mean == pytest.approx(0.75)
    assert own.sd == statistics.stdev(values)
    assert own.margin == pytest.approx(4.3027 * statistics.stdev(values) / 3**0.5, rel=1e-4)


def test_one_value_has_no_spread() -> None:
    own = Spread([0.5])
    assert (own.mean, own.sd, own.margin) == (0.5, None, None)
    assert own.shown("fraction") == "50.00"


def test_perplexities_are_shown_as_they_are() -> None:
    assert Spread([90.0, 110.0]).shown("plain") == "100.00 ± 14.14"


def test_each_score_is_gathered_over_the_runs_that_have_it() -> None:
    found = spread([{"pos": {"accuracy": 0.5}}, {"pos": {"accuracy": 0.7}, "ner": {"f1": 0.1}}])
    assert found["pos"]["accuracy"].values == [0.5, 0.7]
    assert found["ner"]["f1"].values == [0.1]
