"""The learned weighted mean of layers."""

from __future__ import annotations

import pytest
import torch

from mtl.layers import ScalarMix


def test_it_starts_as_the_mean() -> None:
    layers = [torch.randn(2, 3, 4) for _ in range(3)]
    torch.testing.assert_close(ScalarMix(3)(layers), torch.stack(layers).mean(0))


def test_weights_are_a_softmax_times_gamma() -> None:
    mix = ScalarMix(2)
    mix.load_state_dict({"scores": torch.tensor([0.0, 3.0]).log1p(), "gamma": torch.tensor(10.0)})
    layers = [torch.full((1, 1, 1), value) for value in (1.0, 2.0)]
    assert mix(layers).item() == pytest.approx(10 * (1 * 1 + 4 * 2) / 5)


def test_layers_and_weights_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="zip"):
        ScalarMix(3)([torch.ones(1, 1, 1)] * 2)
