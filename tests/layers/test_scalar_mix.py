"""The learned weighted mean of layers."""

from __future__ import annotations

import pytest
import torch

from mtl.layers import ScalarMix, TokenScalarMix


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


@pytest.mark.parametrize("width", [4, 3])
def test_peters_2018_the_token_vectors_are_the_first_layer(width: int) -> None:
    mix = TokenScalarMix([width, 4, 4])
    torch.nn.init.normal_(mix.scores)
    x, *layers = (torch.randn(2, 3, size) for size in (width, 4, 4))
    first = x if width == 4 else x @ mix.tokens.weight.T
    weights = mix.scores.exp() / mix.scores.exp().sum()
    expected = weights[0] * first + weights[1] * layers[0] + weights[2] * layers[1]
    torch.testing.assert_close(mix([x, *layers]), expected)
