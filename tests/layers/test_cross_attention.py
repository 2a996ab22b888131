"""Attention between two sentences, against the formulas of Parikh et al. (2016) in loops."""

from __future__ import annotations

import torch
from torch import Tensor

from mtl.layers.cross_attention import CrossAttention
from tests.contracts.variants import prefix_mask, shaken, widened, with_garbage

LENGTHS = [3, 1, 2, 4, 0, 1]
FIRST, SECOND = LENGTHS[:3], LENGTHS[3:]


def made() -> tuple[CrossAttention, Tensor, Tensor]:
    """The layer, and three pairs; the second sentence of the second pair is empty."""
    return shaken(CrossAttention(5)), torch.randn(6, 4, 5).double(), prefix_mask(LENGTHS)


def by_formula(layer: CrossAttention, own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs and the weights of the tokens of one sentence, from Equations 1 to 3."""
    outputs, weights = [], []
    for a in own:
        scores = torch.stack([layer.attend(a) @ layer.attend(b) for b in other] or [a.sum() * 0])
        exps = (scores - scores.max()).exp()
        shares = exps / exps.sum()
        aligned = sum((w * b for w, b in zip(shares, other, strict=False)), torch.zeros(5).double())
        outputs.append(layer.compare(torch.cat([a, aligned])))
        weights.append(shares)
    return torch.stack(outputs), torch.stack(weights)


@torch.no_grad()
def test_tokens_are_compared_with_their_part_of_the_other_sentence() -> None:
    layer, x, mask = made()
    outputs, weights = layer(x, mask)
    for row in range(3):
        sides = (row, FIRST[row], row + 3, SECOND[row]), (row + 3, SECOND[row], row, FIRST[row])
        for own, length, other, width in sides:
            if not length:
                continue
            values, shares = by_formula(layer, x[own, :length], x[other, :width])
            torch.testing.assert_close(outputs[own, :length], values)
            torch.testing.assert_close(weights[own, :length, :width], shares[:, :width])
            assert not weights[own, :, width:].any()


def test_padding_changes_nothing_and_stays_zero() -> None:
    layer, x, mask = made()
    outputs, weights = layer(x, mask)
    dirty, more = layer(with_garbage(x, mask, more=2), widened(mask, 2))
    torch.testing.assert_close(dirty[:, :4], outputs)
    torch.testing.assert_close(more[:, :4, :4], weights)
    assert not dirty[:, 4:].any()
    assert not outputs[~mask].any()
    assert not weights[~mask].any()


def test_exchanged_sentences_exchange_the_outputs() -> None:
    layer, x, mask = made()
    other = [3, 4, 5, 0, 1, 2]
    torch.testing.assert_close(layer(x[other], mask[other])[0], layer(x, mask)[0][other])


def test_gradients_are_those_of_finite_differences() -> None:
    layer, x, mask = made()
    short, real = x[:, :2].clone().requires_grad_(), mask[:, :2]
    assert torch.autograd.gradcheck(lambda x: layer(x, real)[0], short)
