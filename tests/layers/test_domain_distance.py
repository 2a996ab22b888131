"""Distances between domains: CORAL and MMD."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl.layers import coral_distance, mmd_distance

Distance = Callable[[Tensor, Tensor], Tensor]
distances = pytest.mark.parametrize(
    "distance", [coral_distance, partial(mmd_distance, scale=2.0)], ids=["coral", "mmd"]
)
TWO = torch.tensor([0, 1, 1, 0, 1, 0, 1])
THREE = torch.tensor([0, 1, 2, 0, 1, 2, 2])


def vectors() -> Tensor:
    return torch.randn(7, 3).double()


def test_sun_saenko_2016_coral_compares_covariances() -> None:
    x = vectors()
    a, b = (np.cov(x[domain == TWO].numpy(), rowvar=False) for domain in (0, 1))
    expected = ((a - b) ** 2).sum() / (4 * 3**2)
    assert coral_distance(x, TWO).item() == pytest.approx(expected)


def test_long_2015_mmd_compares_the_means_of_several_kernels() -> None:
    x = vectors().numpy()
    apart = ((x[:, None] - x[None]) ** 2).sum(2)
    kernel = sum(np.exp(-apart / (apart.mean() * 2.0**i)) for i in range(-2, 3)) / 5
    a, b = (np.flatnonzero(TWO.numpy() == domain) for domain in (0, 1))
    means = [kernel[np.ix_(*pair)].mean() for pair in ((a, a), (b, b), (a, b))]
    expected = means[0] + means[1] - 2 * means[2]
    assert mmd_distance(torch.from_numpy(x), TWO).item() == pytest.approx(expected)


@distances
def test_several_domains_have_the_mean_of_their_pairs(distance: Distance) -> None:
    a, b = torch.randn(2, 3).double()
    # The first two domains are alike.
    both = torch.stack([a, a, a, a, b, -b]), torch.tensor([0, 0, 1, 1, 2, 2])
    pair = torch.stack([a, a, b, -b]), torch.tensor([0, 0, 1, 1])
    torch.testing.assert_close(distance(*both), distance(*pair) * 2 / 3)


@distances
def test_domains_that_are_alike_have_no_distance(distance: Distance) -> None:
    x = vectors()
    twice = torch.cat([x, x]), torch.arange(14) // 7
    torch.testing.assert_close(distance(*twice), torch.zeros(()).double(), atol=1e-12, rtol=0)
    apart = torch.cat([x, 2 * x + 1]), torch.arange(14) // 7
    assert distance(*apart) > 0.01


@distances
def test_the_order_of_vectors_and_domains_does_not_matter(distance: Distance) -> None:
    x, order = vectors(), torch.tensor([3, 6, 0, 2, 5, 1, 4])
    expected = distance(x, THREE)
    torch.testing.assert_close(distance(x[order], THREE[order]), expected)
    torch.testing.assert_close(distance(x, 9 - 2 * THREE), expected)


@distances
@pytest.mark.parametrize("domains", [[0, 0, 0], [0, 1, 2], [0, 0, 1]], ids=str)
def test_the_distance_needs_two_vectors_per_domain(distance: Distance, domains: list[int]) -> None:
    assert distance(vectors()[:3], torch.tensor(domains)) == 0


@distances
@pytest.mark.parametrize("domains", [TWO, THREE], ids=["two", "three"])
def test_gradients_are_those_of_finite_differences(distance: Distance, domains: Tensor) -> None:
    x = vectors().requires_grad_()
    assert torch.autograd.gradcheck(lambda vectors: distance(vectors, domains), x)


@pytest.mark.parametrize("distance", [coral_distance, mmd_distance])
def test_vectors_that_are_all_alike_give_finite_gradients(distance: Distance) -> None:
    x = torch.ones(7, 3, requires_grad=True)
    distance(x, TWO).backward()
    assert x.grad.isfinite().all()


def test_the_scale_of_the_batch_is_a_constant_to_the_gradient() -> None:
    x = vectors().requires_grad_()
    scale = (x.unsqueeze(1) - x).square().sum(2).mean().item()
    (given,) = torch.autograd.grad(mmd_distance(x, TWO, scale), x)
    (found,) = torch.autograd.grad(mmd_distance(x, TWO), x)
    torch.testing.assert_close(found, given)


@pytest.mark.parametrize("size", [1e-35, 1e-20, 1e3, 1e20, 1e35])
def test_the_size_of_vectors_changes_no_mmd_whose_scale_follows_it(size: float) -> None:
    x = vectors().float()
    torch.testing.assert_close(mmd_distance(size * x, TWO), mmd_distance(x, TWO))
