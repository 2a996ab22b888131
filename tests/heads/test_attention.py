"""The attention classifier: its weights and the penalty on its hops."""

from __future__ import annotations

import pytest
import torch

from mtl.heads import AttentionClassifier
from mtl.layers.attention import overlap

HIDDEN = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1))
MASK = torch.tensor([[True] * 4, [True, True, False, False]])
TARGET = torch.tensor([0, 1])


@pytest.mark.parametrize("score", ["self", "additive", "concat", "multiplicative", "scaled"])
def test_the_sentence_vector_is_the_weighted_mean_of_tokens(score: str) -> None:
    head = AttentionClassifier(3, ["a", "b"], score=score, hops=2)
    _, weights = head.pooling(HIDDEN, MASK)
    expected = [[w @ h for w in own] for own, h in zip(weights, HIDDEN, strict=True)]
    vectors = torch.stack([torch.cat(means) for means in expected])
    torch.testing.assert_close(head.sentence(HIDDEN, MASK), vectors)
    assert not weights[1, :, 2:].any()


def test_in_training_each_sentence_has_its_own_penalty() -> None:
    head = AttentionClassifier(3, ["a", "b"], hops=2, penalty=0.3, dropout=0)
    penalties = 0.3 * overlap(head.pooling(HIDDEN, MASK)[1])
    plain = head.eval().loss(HIDDEN, MASK, TARGET)
    torch.testing.assert_close(head.train().loss(HIDDEN, MASK, TARGET), plain + penalties)


def test_the_penalty_makes_the_hops_look_at_different_tokens() -> None:
    head = AttentionClassifier(3, ["a"], hops=2, penalty=1.0, dropout=0)
    before = overlap(head.pooling(HIDDEN, MASK)[1]).sum().item()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        head.loss(HIDDEN, MASK, TARGET * 0).sum().backward()
        optimizer.step()
    weights = head.pooling(HIDDEN, MASK)[1]
    assert overlap(weights).sum().item() < 0.1 < before
    assert (weights.argmax(2)[:, 0] != weights.argmax(2)[:, 1]).all()
