"""Elastic weight consolidation against closed forms in float64."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from mtl.layers.elastic import Anchor, diagonal_fisher


def test_the_fisher_information_of_logistic_regression_is_the_closed_form() -> None:
    """F_j = mean of x_j² σ(wᵀx) (1 − σ(wᵀx)), with the expectation over labels written out."""
    w = nn.Parameter(torch.tensor([0.3, -1.2, 0.7], dtype=torch.float64))
    x = torch.randn(50, 3, dtype=torch.float64)
    p = torch.sigmoid(x @ w.detach())
    # (∂ ln p(y | x))² averaged over y: each label has a loss, scaled to its probability.
    losses = (
        2**0.5 * chance.sqrt() * functional.binary_cross_entropy_with_logits(row @ w, label)
        for row, one in zip(x, p, strict=True)
        for label, chance in ((p.new_ones(()), one), (p.new_zeros(()), 1 - one))
    )
    (found,) = diagonal_fisher(losses, [w])
    expected = (x.square() * (p * (1 - p)).unsqueeze(1)).mean(0)
    torch.testing.assert_close(found, expected)


def test_drawn_labels_estimate_it() -> None:
    generator = torch.Generator().manual_seed(3)
    w = nn.Parameter(torch.tensor([0.5, -0.8], dtype=torch.float64))
    x = torch.randn(20_000, 2, dtype=torch.float64, generator=generator)
    p = torch.sigmoid(x @ w.detach())
    y = torch.bernoulli(p, generator=generator)
    losses = (
        functional.binary_cross_entropy_with_logits(row @ w, label)
        for row, label in zip(x[:4000], y, strict=False)
    )
    (found,) = diagonal_fisher(losses, [w])
    expected = (x.square() * (p * (1 - p)).unsqueeze(1)).mean(0)
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0)


def test_a_parameter_without_influence_has_none() -> None:
    used, idle = (nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    found = diagonal_fisher([used.sum(), 2 * used.sum()], [used, idle])
    assert [own.tolist() for own in found] == [[2.5, 2.5], [0, 0]]


def test_the_penalty_and_its_gradient_are_the_formula() -> None:
    theta = [nn.Parameter(torch.randn(s, dtype=torch.float64)) for s in ((3, 2), (4,))]
    fisher = [torch.rand_like(own).detach() for own in theta]
    old = [own.detach().clone() for own in theta]
    anchor = Anchor(theta, fisher, 7.0)
    assert anchor.penalty() == 0
    with torch.no_grad():
        for own in theta:
            own += torch.randn_like(own)
    expected = sum(
        3.5 * f.item() * (a.item() - b.item()) ** 2
        for one, two, three in zip(fisher, theta, old, strict=True)
        for f, a, b in zip(one.flatten(), two.flatten(), three.flatten(), strict=True)
    )
    penalty = anchor.penalty()
    torch.testing.assert_close(penalty.item(), expected)
    penalty.backward()
    for f, own, before in zip(fisher, theta, old, strict=True):
        torch.testing.assert_close(own.grad, 7.0 * f * (own.detach() - before))
    assert torch.autograd.gradcheck(lambda *_: anchor.penalty(), theta)
