"""The adversary: what it learns, the trunk unlearns."""

from __future__ import annotations

import math

import pytest
import torch

from mtl.errors import OptionError
from mtl.heads import DomainClassifier, LabelSet

MASK = torch.ones(8, 2, dtype=torch.bool)
TARGET = torch.tensor([0, 1] * 4)


def gradients(strength: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradients of a trunk, and of the head that reads it."""
    torch.manual_seed(1)
    trunk = torch.nn.Linear(3, 4)
    head = DomainClassifier(4, ["a", "b"], strength=strength, dropout=0)
    head.loss(trunk(torch.randn(8, 2, 3)), MASK, TARGET).sum().backward()
    return trunk.weight.grad, head.output.weight.grad


@pytest.mark.parametrize("strength", [1.0, 0.25])
def test_the_trunk_gets_the_gradient_of_the_loss_times_minus_the_strength(strength: float) -> None:
    torch.manual_seed(1)
    trunk = torch.nn.Linear(3, 4)
    head = DomainClassifier(4, ["a", "b"], dropout=0)
    pooled = trunk(torch.randn(8, 2, 3)).mean(1)
    loss = torch.nn.functional.cross_entropy(
        head.output(head.hidden(pooled)), TARGET, reduction="sum"
    )
    loss.backward()
    by_trunk, by_head = gradients(strength)
    torch.testing.assert_close(by_trunk, -strength * trunk.weight.grad)
    torch.testing.assert_close(by_head, head.output.weight.grad)


def test_with_no_strength_the_head_learns_alone() -> None:
    by_trunk, by_head = gradients(0.0)
    assert not by_trunk.any()
    assert by_head.any()


def test_the_goal_uniform_trains_the_trunk_towards_equal_probabilities() -> None:
    torch.manual_seed(1)
    trunk = torch.nn.Linear(3, 4, dtype=torch.double)
    head = DomainClassifier(4, ["a", "b", "c"], goal="uniform", strength=0.5, dropout=0).double()
    x, target = torch.randn(8, 2, 3, dtype=torch.double), torch.arange(8) % 3
    head.loss(trunk(x), MASK, target).sum().backward()
    found = [parameter.grad for parameter in (*trunk.parameters(), *head.parameters())]

    p = torch.softmax(head.output(head.hidden(trunk(x).mean(1))), -1)
    away = -(p.log().sum(-1) / 3)
    by_trunk = torch.autograd.grad(0.5 * away.sum(), [*trunk.parameters()], retain_graph=True)
    gold = -p[torch.arange(8), target].log().sum()
    by_head = torch.autograd.grad(gold, [*head.parameters()])
    torch.testing.assert_close(found, [*by_trunk, *by_head])


def test_the_goal_uniform_has_its_minimum_where_all_domains_are_equally_probable() -> None:
    head = DomainClassifier(4, ["a", "b"], goal="uniform", strength=2.0, dropout=0)
    torch.nn.init.zeros_(head.output.weight)
    torch.nn.init.zeros_(head.output.bias)
    hidden = torch.randn(8, 2, 4)
    plain = head.eval().loss(hidden, MASK, TARGET)
    torch.testing.assert_close(plain, torch.full((8,), math.log(2)))
    torch.testing.assert_close(head.train().loss(hidden, MASK, TARGET), 3 * plain)


def test_the_goal_uniform_is_for_one_domain_per_sentence() -> None:
    with pytest.raises(OptionError, match="expects one label per sentence"):
        DomainClassifier(4, LabelSet(["a", "b"]), goal="uniform")


def test_training_makes_domains_hard_to_tell_apart() -> None:
    x = torch.cat([torch.randn(40, 1, 4), torch.randn(40, 1, 4)])
    x[40:, :, 0] += 4  # the domain is in the first number alone
    target, mask = torch.arange(80) // 40, torch.ones(80, 1, dtype=torch.bool)
    trunk, head = torch.nn.Linear(4, 2), DomainClassifier(2, ["a", "b"], dropout=0)
    optimizer = torch.optim.Adam([*trunk.parameters(), *head.parameters()], lr=0.02)
    before = (trunk(x[40:]) - trunk(x[:40])).mean((0, 1)).norm().item()
    for _ in range(200):
        optimizer.zero_grad()
        head.loss(trunk(x), mask, target).mean().backward()
        optimizer.step()
    assert (trunk(x[40:]) - trunk(x[:40])).mean((0, 1)).norm().item() < before / 2
