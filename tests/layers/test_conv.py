"""The convolutional layer against the same formula, one token at a time."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from mtl.layers import ConvLayer
from tests.contracts.variants import prefix_mask, ragged_pieces, shaken

WIDTH = 4
VARIANTS = list(product((1, 2, 3), (False, True), ("maxout", "gated")))
variants = pytest.mark.parametrize(("window", "causal", "activation"), VARIANTS)
of_one_side = pytest.mark.parametrize(("window", "activation"), [(1, "gated"), (3, "maxout")])


def one_token(layer: ConvLayer, text: Tensor, t: int) -> Tensor:
    """The output for token t of a text `[T, H]` without padding."""
    last = t if layer.causal else t + layer.window
    read = [
        text[i] if 0 <= i < len(text) else text.new_zeros(WIDTH)
        for i in range(t - layer.window, last + 1)
    ]
    scores = layer.product.weight @ torch.cat(read) + layer.product.bias
    if layer.activation == "maxout":
        change = torch.stack([scores[unit::WIDTH].max() for unit in range(WIDTH)])
    else:
        change = scores[:WIDTH] / (1 + (-scores[WIDTH:]).exp())
    centred = change - change.mean()
    normal = centred / (centred.square().mean() + layer.norm.eps).sqrt()
    return text[t] + normal * layer.norm.weight + layer.norm.bias


@variants
def test_outputs_are_those_of_the_formula(window: int, causal: bool, activation: str) -> None:
    layer = shaken(ConvLayer(WIDTH, window=window, causal=causal, activation=activation))
    x, lengths = torch.randn(4, 5, WIDTH).double(), [5, 1, 0, 3]
    y, after = layer(x, prefix_mask(lengths))
    for row, length in enumerate(lengths):
        expected = [one_token(layer, x[row, :length], t) for t in range(length)]
        for t, vector in enumerate(expected):
            torch.testing.assert_close(y[row, t], vector)
        assert not y[row, length:].any()
    assert after is None


@variants
def test_gradients_are_those_of_finite_differences(
    window: int, causal: bool, activation: str
) -> None:
    layer = shaken(ConvLayer(WIDTH, window=window, causal=causal, activation=activation))
    x = torch.randn(2, 3, WIDTH).double().requires_grad_()
    before = torch.randn(2, window, WIDTH).double().requires_grad_() if causal else None
    given = (x,) if before is None else (x, before)
    mask = prefix_mask([3, 2])
    assert torch.autograd.gradcheck(lambda x, before=None: layer(x, mask, before)[0], given)
    for parameter in layer.parameters():

        def by(_: Tensor) -> Tensor:
            return layer(x.detach(), mask)[0]

        assert torch.autograd.gradcheck(by, parameter)


@of_one_side
def test_a_text_in_chunks_equals_the_whole(window: int, activation: str) -> None:
    layer = shaken(ConvLayer(WIDTH, window=window, causal=True, activation=activation))
    x = torch.randn(4, 5, WIDTH).double()
    ((first, first_mask), (rest, rest_mask)), texts = ragged_pieces(x)
    before, state = layer(first, first_mask, layer.initial_state(4))
    after, state = layer(rest, rest_mask, state)
    for row, text in enumerate(texts):
        found = before[row][first_mask[row]], after[row][rest_mask[row]]
        whole, _ = layer(text, prefix_mask([text.shape[1]]))
        torch.testing.assert_close(torch.cat(found), whole[0])
        padded = torch.nn.functional.pad(text[0], (0, 0, window, 0))
        assert torch.equal(state[row], padded[-window:])


def test_a_text_without_tokens_has_no_outputs() -> None:
    for causal in (False, True):
        layer = ConvLayer(WIDTH, window=2, causal=causal)
        mask = torch.ones(3, 0, dtype=torch.bool)
        y, after = layer(torch.randn(3, 0, WIDTH), mask, layer.initial_state(3))
        assert y.shape == (3, 0, WIDTH)
        assert (after is not None) == causal


@pytest.mark.parametrize("activation", ["maxout", "gated"])
def test_the_weights_of_a_unit_are_all_that_it_depends_on(activation: str) -> None:
    layer = shaken(ConvLayer(WIDTH, activation=activation, pieces=3))
    found = layer.unit_weights()
    parts = 3 if activation == "maxout" else 2
    assert found.shape == (parts * 3 * WIDTH, WIDTH)
    for unit in range(WIDTH):
        assert torch.equal(found[:, unit], layer.product.weight[unit::WIDTH].flatten())


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="window: expected at least 1, got 0"):
        ConvLayer(WIDTH, window=0)
    with pytest.raises(ValueError, match="pieces: expected at least 2, got 1"):
        ConvLayer(WIDTH, pieces=1)


def test_weight_norm_separates_length_and_direction_of_each_row() -> None:
    torch.manual_seed(3)
    plain = ConvLayer(WIDTH)
    torch.manual_seed(3)
    normed = ConvLayer(WIDTH, weight_norm=True)
    torch.testing.assert_close(normed.product.weight, plain.product.weight)
    shaken(normed)
    length, direction = normed.product.parametrizations.weight.parameters()
    expected = length * direction / direction.square().sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(normed.product.weight, expected)
    assert length.shape == (len(direction), 1)
