"""The pooling classifier."""

from __future__ import annotations

import pytest
import torch

from mtl.heads import Classifier, DomainClassifier, DomainDistance, PoolClassifier

HIDDEN = torch.tensor([[[1.0, -5.0], [3.0, -1.0], [2.0, -3.0], [99.0, 99.0]]])
MASK = torch.tensor([[True, True, True, False]])


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [2.0, -3.0]),
        ("max", [3.0, -1.0]),
        ("last", [2.0, -3.0]),
        ("sum", [6.0, -9.0]),
        ("concat", [2.0, -3.0, 3.0, -1.0, 2.0, -3.0]),
    ],
)
def test_tokens_are_pooled(pooling: str, expected: list[float]) -> None:
    head = PoolClassifier(2, ["a", "b"], pooling=pooling)
    assert head.sentence(HIDDEN, MASK).tolist() == [expected]


@pytest.mark.parametrize("pooling", ["mean", "max", "last", "sum", "concat"])
def test_a_sentence_without_tokens_is_a_zero_vector(pooling: str) -> None:
    head = PoolClassifier(2, ["a", "b"], pooling=pooling)
    assert not head.sentence(HIDDEN, MASK & False).any()
    assert torch.equal(
        head.sentence(HIDDEN[:, :0], MASK[:, :0]), head.sentence(HIDDEN, MASK & False)
    )


@pytest.mark.parametrize("head", [PoolClassifier, DomainClassifier, DomainDistance])
def test_an_unknown_pooling_is_an_error(head: type[Classifier]) -> None:
    with pytest.raises(
        ValueError, match=r"pooling: expected one of .*mean, max, last, sum, got 'min'"
    ):
        head(2, ["a", "b"], pooling="min")
