"""Hierarchical attention, against loops over the blocks of single texts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mtl.heads import AttentionClassifier, HierarchicalClassifier
from tests.contracts.variants import prefix_mask, shaken, widened, with_garbage

LENGTHS = [7, 1, 3, 0, 6]


def text() -> tuple[Tensor, Tensor]:
    return torch.randn(len(LENGTHS), 7, 5).double(), prefix_mask(LENGTHS)


def mean(layer: torch.nn.Module, states: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of some states, weighted by softmax(vᵀ tanh(W h)), and the weights."""
    scores = torch.stack([layer.output.weight[0] @ (layer.inner.weight @ h).tanh() for h in states])
    weights = scores.exp() / scores.exp().sum()
    return sum(w * h for w, h in zip(weights, states, strict=True)), weights


@pytest.mark.parametrize("block", [1, 2, 3, 20])
@torch.no_grad()
def test_blocks_are_means_of_tokens_and_texts_are_means_of_blocks(block: int) -> None:
    head, (hidden, mask) = shaken(HierarchicalClassifier(5, ["a", "b"], block=block)), text()
    vectors, weights = head.sentence(hidden, mask), head.attention_weights(hidden, mask)
    for row, length in enumerate(LENGTHS):
        if not length:
            assert not vectors[row].any()
            assert not weights[row].any()
            continue
        parts = [mean(head.tokens, part) for part in hidden[row, :length].split(block)]
        whole, shares = mean(head.blocks, torch.stack([vector for vector, _ in parts]))
        torch.testing.assert_close(vectors[row], whole)
        expected = torch.cat([s * own for s, (_, own) in zip(shares, parts, strict=True)])
        torch.testing.assert_close(weights[row, 0, :length], expected)
        assert weights[row].sum().item() == pytest.approx(1)


def test_a_text_of_one_block_is_read_as_by_plain_attention() -> None:
    head, plain = (shaken(c(5, ["a", "b"])) for c in (HierarchicalClassifier, AttentionClassifier))
    plain.pooling.load_state_dict(head.tokens.state_dict())
    hidden, mask = text()
    torch.testing.assert_close(head.sentence(hidden, mask), plain.sentence(hidden, mask))


def test_padding_does_not_change_the_weights() -> None:
    head, (hidden, mask) = shaken(HierarchicalClassifier(5, ["a"], block=3)), text()
    found = head.attention_weights(with_garbage(hidden, mask, 4), widened(mask, 4))
    torch.testing.assert_close(found[..., :7], head.attention_weights(hidden, mask))


def test_states_may_be_a_part_of_wider_ones() -> None:
    """A trunk may return states with any strides, such as a part of wider ones, time first."""
    head = shaken(HierarchicalClassifier(4, ["a", "b"], block=2))
    hidden, mask = torch.randn(3, 8, 6).double().mT, prefix_mask([6, 3, 1])
    torch.testing.assert_close(
        head.scores(hidden[..., :4], mask), head.scores(hidden[..., :4].contiguous(), mask)
    )
