"""The adversary: what it learns, the trunk unlearns."""

from __future__ import annotations

import math

import pytest
import torch

from mtl.errors import OptionError
from mtl.heads import DomainClassifier, LabelSet
from mtl.heads.domain import Goal

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


@pytest.mark.parametrize("goal", ["uniform", "inverted"])
def test_these_goals_are_for_one_domain_per_sentence(goal: Goal) -> None:
    with pytest.raises(OptionError, match=f"{goal} expects one label per sentence"):
        DomainClassifier(4, LabelSet(["a", "b"]), goal=goal)


def test_the_goal_inverted_needs_another_domain() -> None:
    with pytest.raises(OptionError, match="inverted expects at least two labels"):
        DomainClassifier(4, ["a"], goal="inverted")


def test_the_goal_inverted_trains_the_trunk_towards_the_other_domains() -> None:
    torch.manual_seed(1)
    trunk = torch.nn.Linear(3, 4, dtype=torch.double)
    head = DomainClassifier(4, ["a", "b", "c"], goal="inverted", strength=0.5, dropout=0).double()
    x, target = torch.randn(8, 2, 3, dtype=torch.double), torch.arange(8) % 3
    head.loss(trunk(x), MASK, target).sum().backward()
    found = [parameter.grad for parameter in (*trunk.parameters(), *head.parameters())]

    p = torch.softmax(head.output(head.hidden(trunk(x).mean(1))), -1)[torch.arange(8), target]
    away = -torch.log(1 - p).sum()
    by_trunk = torch.autograd.grad(0.5 * away, [*trunk.parameters()], retain_graph=True)
    by_head = torch.autograd.grad(-p.log().sum(), [*head.parameters()])
    torch.testing.assert_close(found, [*by_trunk, *by_head])


def test_tzeng_2017_only_the_target_encoder_learns_from_inverted_labels() -> None:
    """Equations 7 and 8: −log D(source) − log(1 − D(target)), and −log D(target) for M_t."""
    torch.manual_seed(1)
    source, target = (torch.nn.Linear(3, 4, dtype=torch.double) for _ in range(2))
    target.load_state_dict(source.state_dict())
    source.requires_grad_(False)
    head = DomainClassifier(4, ["source", "target"], goal="inverted", dropout=0).double()
    x_s, x_t = torch.randn(2, 8, 1, 3, dtype=torch.double)
    real, fake = torch.zeros(8).long(), torch.ones(8).long()
    mask = MASK[:, :1]
    (head.loss(source(x_s), mask, real) + head.loss(target(x_t), mask, fake)).mean().backward()

    (u, c), (w, b) = head.hidden[0].parameters(), head.output.parameters()

    def discriminator(h: torch.Tensor) -> torch.Tensor:
        y = (h @ u.T + c).clamp(min=0)
        return 1 / (1 + torch.exp(-(y @ (w[0] - w[1]) + b[0] - b[1])))

    d_s, d_t = (discriminator(encoder(x)[:, 0]) for encoder, x in ((source, x_s), (target, x_t)))
    of_d = -(d_s.log() + (1 - d_t).log()).mean()
    of_m = -d_t.log().mean()
    by_d = torch.autograd.grad(of_d, [*head.parameters()], retain_graph=True)
    by_m = torch.autograd.grad(of_m, [*target.parameters()])
    torch.testing.assert_close([p.grad for p in head.parameters()], [*by_d])
    torch.testing.assert_close([p.grad for p in target.parameters()], [*by_m])
    assert source.weight.grad is None


def test_tzeng_2017_a_shifted_domain_is_moved_back() -> None:
    """The classifier of the source is sign(h_0); the target encoder undoes a planted shift."""
    generator = torch.Generator().manual_seed(3)
    gold = torch.arange(80).double() % 2 * 2 - 1
    x_s, x_t = torch.randn(2, 80, 2, generator=generator, dtype=torch.double) / 4
    x_s[:, 0] += gold
    x_t[:, 0] += gold + 2  # now all are on the side of one label
    encoder = torch.nn.Linear(2, 2, dtype=torch.double)
    torch.nn.init.eye_(encoder.weight)
    torch.nn.init.zeros_(encoder.bias)

    def accuracy() -> float:
        return (encoder(x_t)[:, 0].sign() == gold).double().mean().item()

    assert accuracy() < 0.6
    torch.manual_seed(1)
    head = DomainClassifier(2, ["s", "t"], goal="inverted", hidden_size=16, dropout=0).double()
    optimizer = torch.optim.Adam(
        [*encoder.parameters(), *head.parameters()], lr=0.02, betas=(0.5, 0.9)
    )
    mask = torch.ones(160, 1, dtype=torch.bool)
    for _ in range(200):
        optimizer.zero_grad()
        hidden = torch.cat([x_s, encoder(x_t)]).unsqueeze(1)
        head.loss(hidden, mask, torch.arange(160) // 80).mean().backward()
        optimizer.step()
    assert accuracy() > 0.95


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
