from __future__ import annotations

import pytest
import torch
from torch import nn

from mtl.training.averaging import ExponentialAverage


def averaged(decay: float, values: list[float]) -> tuple[nn.Linear, ExponentialAverage]:
    """A model whose only weight takes some values one after the other, the first untrained."""
    model = nn.Linear(1, 1, bias=False).double()
    average = None
    for value in values:
        nn.init.constant_(model.weight, value)
        if average is None:
            average = ExponentialAverage(model, decay)
        else:
            average.update()
    return model, average


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.5, 0.999])
def test_it_equals_the_closed_formula(decay: float) -> None:
    values = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0]
    decays = [min(decay, (1 + n) / (10 + n)) for n in range(5)]
    expected = 0.0
    for i, value in enumerate(values):
        share = 1.0 if i == 0 else 1 - decays[i - 1]
        for later in decays[i:]:
            share *= later
        expected += share * value
    found = averaged(decay, values)[1].average["weight"].item()
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
