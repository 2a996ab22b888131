"""Attention to preceding tokens, against the formulas in loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mtl.layers.attention import MultiHeadAttention, SelfAttention
from mtl.layers.look_back import LookBack
from tests.contracts.variants import prefix_mask, shaken, widened, with_garbage

LENGTHS = [5, 1, 3, 0]
KINDS = ["additive", "concat", "multiplicative", "scaled", "key_value", "multi_head"]
kinds = pytest.mark.parametrize("kind", KINDS)
WINDOWS = pytest.mark.parametrize("window", [1, 2, 9])


def text() -> tuple[Tensor, Tensor]:
    return torch.randn(4, 5, 6).double(), prefix_mask(LENGTHS)


@WINDOWS
@torch.no_grad()
def test_daniluk_2017_key_value(window: int) -> None:
    """Equations 6 to 9: scores read keys alone, and the output reads values alone."""
    layer, (x, mask) = shaken(LookBack(6, "key_value", window)), text()
    found, own = layer(x, mask)[0], layer.attention
    for row, length in enumerate(LENGTHS):
        keys, values = x[row, :length, :3], x[row, :length, 3:]
        for t in range(length):
            first = max(0, t - window)
            context = torch.zeros(3).double()
            if t:
                scores = [
                    own.output.weight[0]
                    @ (own.state.weight @ k + own.query.weight @ keys[t] + own.query.bias).tanh()
                    for k in keys[first:t]
                ]
                context = torch.stack(scores).softmax(0) @ values[first:t]
            expected = (layer.join.weight @ torch.cat([context, values[t]])).tanh()
            torch.testing.assert_close(found[row, t], expected)


@WINDOWS
@torch.no_grad()
def test_other_scores_read_whole_states(window: int) -> None:
    layer, (x, mask) = shaken(LookBack(6, "multiplicative", window)), text()
    found, weight = layer(x, mask)[0], layer.attention.score.query.weight
    for t in range(5):
        before, context = x[0, max(0, t - window) : t], torch.zeros(6).double()
        if t:
            context = (before @ weight @ x[0, t]).softmax(0) @ before
        expected = (layer.join.weight @ torch.cat([context, x[0, t]])).tanh()
        torch.testing.assert_close(found[0, t], expected)


@kinds
def test_later_and_distant_tokens_and_padding_change_nothing(kind: str) -> None:
    layer, (x, mask) = shaken(LookBack(6, kind, 2)), text()
    found = layer(x, mask)[0]
    later = x.clone()
    later[0, 4] = 7
    torch.testing.assert_close(layer(later, mask)[0][0, :4], found[0, :4])
    later[0, 1] = 7
    changed = layer(later, mask)[0][0]
    assert not torch.allclose(changed[3], found[0, 3])
    distant = x.clone()
    distant[0, 0] = 7
    torch.testing.assert_close(layer(distant, mask)[0][0, 3:], found[0, 3:])
    padded = layer(with_garbage(x, mask, 2), widened(mask, 2))[0]
    torch.testing.assert_close(padded[:, :5][mask], found[mask])


def test_a_causal_layer_without_a_window_reads_all_preceding_tokens() -> None:
    x, mask = text()
    single = shaken(SelfAttention(6, score="additive", causal=True))
    windowed = SelfAttention(6, score="additive", causal=True, window=4).double()
    windowed.load_state_dict(single.state_dict())
    torch.testing.assert_close(windowed(x, mask), single(x, mask))
    weights = single(x, mask)[1][0]
    torch.testing.assert_close(weights.sum(1), torch.tensor([0, 1, 1, 1, 1]).double())
    assert not weights.triu().any()
    assert not shaken(MultiHeadAttention(6, causal=True))(x, mask)[1].triu().any()
