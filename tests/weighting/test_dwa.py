"""Tasks whose mean loss falls slowest from epoch to epoch get the largest weight."""

from __future__ import annotations

import numpy as np
import pytest

from mtl.errors import TrainingError
from mtl.weighting import DWA

TASKS = {"pos": 1.0, "ner": 1.0, "lm": 0.5}


def after(*epochs: dict[str, float], temperature: float = 2.0) -> dict[str, float]:
    """The weights after epochs with such mean losses."""
    weighting = DWA(TASKS, temperature=temperature)
    for losses in epochs:
        weighting.end_epoch(losses)
    return weighting.weights()


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_weights_are_a_softmax_over_the_rates_of_descent(temperature: float) -> None:
    first = {"pos": 2.0, "ner": 1.0, "lm": 6.0}
    second = {"pos": 0.5, "ner": 0.9, "lm": 5.0}
    exponentials = np.exp(np.array([0.5 / 2, 0.9 / 1, 5 / 6]) / temperature)
    expected = 3 * exponentials / exponentials.sum() * [1, 1, 0.5]
    found = after(first, second, temperature=temperature)
    assert list(found.values()) == pytest.approx(expected)


def test_only_the_last_two_epochs_count() -> None:
    epochs = [{"pos": p, "ner": n, "lm": 1.0} for p, n in ((9.0, 0.1), (2.0, 1.0), (1.0, 0.8))]
    assert after(*epochs) == pytest.approx(after(*epochs[1:]))


def test_until_there_are_two_epochs_the_weights_are_those_given() -> None:
    assert after() == pytest.approx(TASKS)
    assert after({"pos": 3.0, "ner": 0.1, "lm": 6.0}) == pytest.approx(TASKS)


def test_equal_rates_leave_the_weights_given() -> None:
    losses = {"pos": 3.0, "ner": 0.1, "lm": 6.0}
    assert after(losses, {task: 0.3 * loss for task, loss in losses.items()}) == pytest.approx(
        TASKS
    )


def test_a_task_that_rests_keeps_its_rate() -> None:
    first, second = {"pos": 1.0, "ner": 1.0, "lm": 1.0}, {"pos": 0.5, "ner": 0.9, "lm": 1.0}
    third = {"pos": 0.25, "lm": 1.0}
    assert after(first, second, third) == pytest.approx(after(first, second))


@pytest.mark.parametrize("before", [0.0, 1e-9, 1e-4])
def test_a_loss_that_was_almost_zero_counts_as_doubled_and_starves_none(before: float) -> None:
    first = {"pos": before, "ner": 1.0, "lm": 1.0}
    assert after(first, {**first, "pos": 1e-3}) == after({**first, "pos": 1.0}, {**first, "pos": 2})


def test_losses_that_stay_at_zero_leave_the_weights_given() -> None:
    nothing = dict.fromkeys(TASKS, 0.0)
    assert after(nothing, nothing) == pytest.approx(TASKS)


def test_a_negative_loss_is_refused_with_the_task() -> None:
    with pytest.raises(TrainingError, match=r"'dwa' needs losses .* got -1 for task 'lm'; correct"):
        after({"pos": 1.0, "lm": -1.0})
