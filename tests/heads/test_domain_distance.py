"""Domains drawn together: what is in the loss, and what it does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mtl.heads import DomainDistance
from mtl.layers import coral_distance, mmd_distance

TARGET = torch.tensor([0, 1] * 4)
MASK = torch.arange(3) < torch.tensor([3, 1, 2, 3, 2, 1, 3, 2]).unsqueeze(1)
DISTANCES = {"coral": coral_distance, "mmd": mmd_distance}
over = pytest.mark.parametrize("distance", DISTANCES)


def made(distance: str, strength: float = 1.0) -> DomainDistance:
    labels = ["a", "b"]
    return DomainDistance(4, labels, distance=distance, strength=strength, dropout=0)


def means(hidden: Tensor) -> Tensor:
    return (hidden * MASK.unsqueeze(2)).sum(1) / MASK.sum(1, keepdim=True)


@over
def test_the_loss_of_each_sentence_contains_the_batch_distance(
    distance: str,
) -> None:
    head, hidden = made(distance, strength=0.5), torch.randn(8, 3, 4)
    more = head.loss(hidden, MASK, TARGET) - head.eval().loss(hidden, MASK, TARGET)
    expected = 0.5 * DISTANCES[distance](means(hidden), TARGET)
    torch.testing.assert_close(more, expected.expand(8), atol=1e-6, rtol=1e-4)


@over
def test_the_trunk_learns_of_the_distance_and_the_classifier_of_the_labels(distance: str) -> None:
    head, hidden = made(distance, strength=2.0), torch.randn(8, 3, 4, requires_grad=True)
    head.loss(hidden, MASK, TARGET).mean().backward()
    found, hidden.grad = hidden.grad, None
    (2 * DISTANCES[distance](means(hidden), TARGET)).backward()
    torch.testing.assert_close(found, hidden.grad)
    assert all(parameter.grad.any() for parameter in head.parameters())


@over
def test_with_no_strength_the_trunk_learns_nothing(distance: str) -> None:
    head, hidden = made(distance, strength=0.0), torch.randn(8, 3, 4, requires_grad=True)
    head.loss(hidden, MASK, TARGET).sum().backward()
    assert not hidden.grad.any()


@over
def test_training_draws_domains_together(distance: str) -> None:
    x = torch.randn(80, 1, 4)
    x[40:, :, 0] = 3 * x[40:, :, 0] + 4  # the domain is in the first number alone
    target, mask = torch.arange(80) // 40, torch.ones(80, 1, dtype=torch.bool)
    trunk, head = torch.nn.Linear(4, 4), made(distance)
    optimizer = torch.optim.Adam(trunk.parameters(), lr=0.02)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        losses.append(DISTANCES[distance](trunk(x).squeeze(1), target).item())
        head.loss(trunk(x), mask, target).mean().backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 10


def test_an_unknown_distance_is_an_error() -> None:
    with pytest.raises(ValueError, match="distance: expected one of coral, mmd, got 'cosine'"):
        made("cosine")
