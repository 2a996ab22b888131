"""Batch normalisation of padded sequences, against torch on the real tokens alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mtl.layers.batch_norm import MaskedBatchNorm
from tests.contracts.variants import prefix_mask, shaken

LENGTHS = [4, 1, 3, 0]


def batch() -> tuple[Tensor, Tensor]:
    """Values with large numbers on padding."""
    real = prefix_mask(LENGTHS).unsqueeze(1)
    return torch.where(real, torch.randn(4, 3, 4), 100.0).double(), real


def both() -> tuple[MaskedBatchNorm, nn.BatchNorm1d]:
    own, expected = shaken(MaskedBatchNorm(3)).train(), nn.BatchNorm1d(3).double().train()
    expected.load_state_dict(own.state_dict(), strict=False)
    return own, expected


def real_rows(x: Tensor, real: Tensor) -> Tensor:
    return x.mT[real.squeeze(1)]  # [N, C]


def test_training_normalises_by_the_moments_of_the_real_tokens() -> None:
    own, expected = both()
    for _ in range(3):
        x, real = batch()
        rows = expected(real_rows(x, real))
        torch.testing.assert_close(real_rows(own(x, real), real), rows)
    torch.testing.assert_close(own.running_mean, expected.running_mean)
    torch.testing.assert_close(own.running_var, expected.running_var)


def test_evaluation_normalises_by_running_averages() -> None:
    own, expected = both()
    x, real = batch()
    own(x, real), expected(real_rows(x, real))
    found = own.eval()(x, real)
    torch.testing.assert_close(real_rows(found, real), expected.eval()(real_rows(x, real)))


def test_gradients_are_those_of_torch() -> None:
    own, expected = both()
    x, real = batch()
    weights = torch.randn(8, 3).double()
    x.requires_grad_()
    grads = []
    for norm in (lambda: real_rows(own(x, real), real), lambda: expected(real_rows(x, real))):
        (weights * norm()).sum().backward()
        grads.append(x.grad.clone())
        x.grad = None
    torch.testing.assert_close(grads[0], grads[1])
    torch.testing.assert_close(own.weight.grad, expected.weight.grad)


@pytest.mark.parametrize("length", [0, 1])
def test_a_batch_without_a_variance_is_normalised_by_the_running_averages(length: int) -> None:
    norm = shaken(MaskedBatchNorm(3)).train()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    x = torch.randn(1, 3, 2).double().requires_grad_()
    found = norm(x, prefix_mask([length], 2).unsqueeze(1))
    found.sum().backward()
    assert x.grad.isfinite().all()
    assert all(torch.equal(norm.state_dict()[name], value) for name, value in before.items())
    torch.testing.assert_close(found, norm.eval()(x, prefix_mask([2]).unsqueeze(1)))


def test_without_a_momentum_the_averages_are_means_over_the_batches() -> None:
    own, expected = both()
    own.momentum = expected.momentum = None
    own.reset_running_stats()
    expected.reset_running_stats()
    for _ in range(3):
        x, real = batch()
        expected(real_rows(x, real))
        own(x, real)
    own(x[:1, :, :1], real[:1, :, :1])  # one token has no variance, and does not count
    torch.testing.assert_close(own.running_mean, expected.running_mean)
    torch.testing.assert_close(own.running_var, expected.running_var)
