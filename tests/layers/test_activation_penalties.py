"""The penalties AR and TAR on activations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mtl.layers import activation_penalty, temporal_activation_penalty

penalties = pytest.mark.parametrize("penalty", [activation_penalty, temporal_activation_penalty])
Penalty = Callable[[Tensor, Tensor], Tensor]


def all_real(hidden: Tensor) -> Tensor:
    return torch.ones(hidden.shape[:2], dtype=torch.bool)


def test_ar_is_the_sum_of_the_tokens_mean_squares() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 0.0]]])
    assert activation_penalty(hidden, all_real(hidden)).tolist() == [(1 + 4) / 2 + (9 + 0) / 2]


def test_tar_is_that_of_the_steps() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 0.0], [3.0, 5.0]]])
    found = temporal_activation_penalty(hidden, all_real(hidden))
    assert found.tolist() == [(4 + 4) / 2 + (0 + 25) / 2]


@penalties
@pytest.mark.parametrize("filler", [7.0, torch.inf, torch.nan])
def test_padding_changes_nothing(penalty: Penalty, filler: float) -> None:
    hidden = torch.randn(2, 3, 4).double()
    padded = torch.cat([hidden, torch.full((2, 2, 4), filler).double()], dim=1).requires_grad_()
    mask = torch.arange(5).expand(2, 5) < 3
    torch.testing.assert_close(penalty(padded, mask), penalty(hidden, all_real(hidden)))
    penalty(padded, mask).sum().backward()
    assert padded.grad.isfinite().all()
    assert not padded.grad[:, 3:].any()


@penalties
def test_each_text_has_its_own(penalty: Penalty) -> None:
    hidden, mask = torch.randn(2, 4, 3), torch.tensor([[True, True, False, False], [True] * 4])
    alone = [penalty(hidden[i : i + 1, :n], mask[i : i + 1, :n]) for i, n in enumerate((2, 4))]
    torch.testing.assert_close(penalty(hidden, mask), torch.cat(alone))


def test_tar_of_single_tokens_is_zero() -> None:
    hidden = torch.randn(2, 1, 3)
    assert not temporal_activation_penalty(hidden, all_real(hidden)).any()


@penalties
def test_gradients_are_those_of_finite_differences(penalty: Penalty) -> None:
    hidden = torch.randn(2, 3, 2).double().requires_grad_()
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert torch.autograd.gradcheck(lambda x: penalty(x, mask), hidden)
