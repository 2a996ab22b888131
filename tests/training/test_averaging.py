"""Averages of the weights."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean

import pytest
import torch
from torch import nn

from mtl.training.averaging import Average, ExponentialAverage, TriggeredAverage

VALUES = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0]


def weight(value: float) -> nn.Linear:
    """A model that is a single weight."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, value)
    return model


def take(average: Average, model: nn.Linear, values: Iterable[float]) -> None:
    """Let the weight have some values one after the other, and the average hear of each."""
    for value in values:
        nn.init.constant_(model.weight, value)
        average.update()


def averaged(decay: float, values: list[float]) -> tuple[nn.Linear, ExponentialAverage]:
    """A weight that takes some values one after the other, the first untrained."""
    model = weight(values[0])
    average = ExponentialAverage(model, decay=decay)
    take(average, model, values[1:])
    return model, average


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.5, 0.999])
def test_it_equals_the_closed_formula(decay: float) -> None:
    decays = [min(decay, (1 + n) / (10 + n)) for n in range(5)]
    expected = 0.0
    for i, value in enumerate(VALUES):
        share = 1.0 if i == 0 else 1 - decays[i - 1]
        for later in decays[i:]:
            share *= later
        expected += share * value
    found = averaged(decay, VALUES)[1].average["weight"].item()
    assert found == pytest.approx(expected)


def test_the_model_has_the_average_while_it_is_applied_and_no_longer() -> None:
    model, average = averaged(0.5, [0.0, 10.0])
    with average.applied():
        assert model.weight.item() == pytest.approx(9.0)
    assert model.weight.item() == 10


def test_the_raw_weights_come_back_when_the_evaluation_fails() -> None:
    model, average = averaged(0.5, [0.0, 10.0])
    with pytest.raises(RuntimeError), average.applied():
        raise RuntimeError
    assert model.weight.item() == 10


def test_training_does_not_change_the_average() -> None:
    model, average = averaged(0.5, [0.0, 10.0])
    with torch.no_grad():
        model.weight.add_(5)
    assert average.average["weight"].item() == pytest.approx(9.0)


def test_what_does_not_train_is_left_out() -> None:
    model = nn.Sequential(weight(1.0).requires_grad_(False), weight(2.0))
    assert set(ExponentialAverage(model, decay=0.5).average) == {"1.weight"}


@pytest.mark.parametrize(
    ("scores", "begins"),
    [
        ([0.5], False),
        ([0.5, 0.4, 0.3], False),
        ([0.5, 0.4, 0.3, 0.35], True),
        ([0.5, 0.1, 0.2, 0.3], True),
        ([0.1, 0.2, 0.3, 0.3], False),
        ([0.1, 0.2, 0.4, 0.3], False),
        ([0.1, 0.4, 0.2, 0.3, 0.3], True),
        ([0.3, 0.1, 0.2, 0.3, 0.4], False),
    ],
)
def test_a_score_below_one_from_before_the_last_checks_begins_it(
    scores: list[float], begins: bool
) -> None:
    average = TriggeredAverage(weight(1.0), trigger=2)
    average.begin_if_due(scores)
    assert bool(average.average) == begins


def test_until_it_begins_the_raw_weights_are_evaluated() -> None:
    model = weight(1.0)
    average = TriggeredAverage(model, trigger=1)
    take(average, model, VALUES)
    with average.applied():
        assert model.weight.item() == VALUES[-1]
    assert (average.average, average.updates) == ({}, 0)


def test_from_then_on_it_is_the_mean_and_never_begins_again() -> None:
    model = weight(7.0)
    average = TriggeredAverage(model, trigger=1)
    average.begin_if_due([0.3, 0.2, 0.1])
    for i, value in enumerate(VALUES):
        take(average, model, [value])
        average.begin_if_due([0.3, 0.2, 0.1, 0.0])
        with average.applied():
            assert model.weight.item() == pytest.approx(mean([7.0, *VALUES[: i + 1]]))


def test_it_equals_the_average_of_torch() -> None:
    x = weight(3.0)
    optimizer = torch.optim.ASGD(x.parameters(), lr=0.1, lambd=0, alpha=0, t0=3)
    average = TriggeredAverage(x, trigger=1)
    for step in range(1, 9):
        (x.weight - step).pow(2).sum().backward()
        optimizer.step()
        average.update()
        if step == 5:  # torch's mean is over the weights after step t0 + 2 and all later ones
            average.begin_if_due([0.3, 0.2, 0.1])
    assert torch.allclose(average.average["weight"], optimizer.state[x.weight]["ax"])


def test_after_a_reset_it_is_as_at_the_start() -> None:
    model, average = averaged(0.5, [0.0, 10.0])
    average.reset()
    assert (average.average["weight"].item(), average.updates) == (10, 0)
    triggered = TriggeredAverage(model, trigger=1)
    triggered.begin_if_due([0.3, 0.2, 0.1])
    triggered.reset()
    assert not triggered.average
