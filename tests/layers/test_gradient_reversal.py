"""Gradient reversal and the schedule of its strength."""

from __future__ import annotations

from math import exp

import pytest
import torch

from mtl.layers import GradientReversal


def gradient(layer: GradientReversal) -> float:
    x = torch.ones((), requires_grad=True)
    (5 * layer(x)).backward()
    return x.grad.item()


def test_what_goes_in_comes_out() -> None:
    x = torch.randn(3, 4)
    assert torch.equal(GradientReversal()(x), x)


@pytest.mark.parametrize("strength", [1.0, 0.3, 0.0])
def test_gradients_come_back_times_minus_the_strength(strength: float) -> None:
    assert gradient(GradientReversal(strength)) == pytest.approx(-5 * strength)


def test_ganin_lempitsky_2015_section_4_1_schedule_of_the_strength() -> None:
    layer = GradientReversal(0.5, ramp=4)
    expected = [0.5 * (2 / (1 + exp(-10 * min(1, n / 4))) - 1) for n in range(6)]
    assert [-gradient(layer) / 5 for _ in range(6)] == pytest.approx(expected)


def test_passes_in_evaluation_do_not_count_as_progress() -> None:
    layer = GradientReversal(ramp=4).eval()
    assert gradient(layer) == gradient(layer) == 0


def test_progress_is_saved_and_loaded() -> None:
    layer, again = GradientReversal(ramp=4), GradientReversal(ramp=4)
    gradient(layer)
    again.load_state_dict(layer.state_dict())
    assert gradient(again) == gradient(layer) != 0


@pytest.mark.parametrize(
    ("strength", "ramp", "message"),
    [(-1.0, None, "strength: expected at least 0, got -1"), (1.0, 0, "ramp: expected at least 1")],
)
def test_values_that_would_not_reverse_are_refused(
    strength: float, ramp: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        GradientReversal(strength, ramp)
