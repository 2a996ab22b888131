from __future__ import annotations

import pytest
import torch

from mtl.heads import PoolClassifier

HIDDEN = torch.tensor([[[1.0, -5.0], [3.0, -1.0], [2.0, -3.0], [99.0, 99.0]]])
MASK = torch.tensor([[True, True, True, False]])


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [2.0, -3.0]),
        ("max", [3.0, -1.0]),
        ("last", [2.0, -3.0]),
        ("concat", [2.0, -3.0, 3.0, -1.0, 2.0, -3.0]),
    ],
)
def test_tokens_are_pooled(pooling: str, expected: list[float]) -> None:
    head = PoolClassifier(2, ["a", "b"], pooling=pooling)
    assert head.sentence(HIDDEN, MASK).tolist() == [expected]


@pytest.mark.parametrize("pooling", ["mean", "max", "last", "concat"])
def test_a_sentence_without_tokens_is_a_zero_vector(pooling: str) -> None:
    head = PoolClassifier(2, ["a", "b"], pooling=pooling)
    assert not head.sentence(HIDDEN, MASK & False).any()
