from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mtl.layers import activation_penalty, temporal_activation_penalty

PENALTIES = [activation_penalty, temporal_activation_penalty]
Penalty = Callable[..., Tensor]


def test_ar_is_the_mean_of_squares() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 0.0]]])
    assert activation_penalty(hidden).item() == (1 + 4 + 9 + 0) / 4


def test_tar_is_the_mean_of_squared_steps() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 0.0], [3.0, 5.0]]])
    assert temporal_activation_penalty(hidden).item() == (4 + 4 + 0 + 25) / 4


@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_mask_without_padding_changes_nothing(penalty: Penalty) -> None:
    hidden = torch.randn(3, 4, 5)
    torch.testing.assert_close(penalty(hidden, torch.ones(3, 4).bool()), penalty(hidden))


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("filler", [7.0, torch.inf, torch.nan])
def test_padding_changes_nothing(penalty: Penalty, filler: float) -> None:
    hidden = torch.randn(2, 3, 4).double()
    padded = torch.cat([hidden, torch.full((2, 2, 4), filler).double()], dim=1).requires_grad_()
    mask = torch.arange(5).expand(2, 5) < 3
    torch.testing.assert_close(penalty(padded, mask), penalty(hidden))
    penalty(padded, mask).backward()
    assert padded.grad.isfinite().all()
    assert not padded.grad[:, 3:].any()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_texts_weigh_by_their_tokens(penalty: Penalty) -> None:
    short, long = torch.randn(1, 2, 3), torch.randn(1, 4, 3)
    padded = torch.cat([torch.nn.functional.pad(short, (0, 0, 0, 2)), long])
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    counts = (2, 4) if penalty is activation_penalty else (1, 3)
    expected = (counts[0] * penalty(short) + counts[1] * penalty(long)) / sum(counts)
    torch.testing.assert_close(penalty(padded, mask), expected)


@pytest.mark.parametrize("mask", [None, torch.ones(2, 1).bool()])
def test_tar_of_single_tokens_is_zero(mask: Tensor | None) -> None:
    assert temporal_activation_penalty(torch.randn(2, 1, 3), mask).item() == 0


@pytest.mark.parametrize("penalty", PENALTIES)
def test_gradients_are_those_of_finite_differences(penalty: Penalty) -> None:
    hidden = torch.randn(2, 3, 2).double().requires_grad_()
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert torch.autograd.gradcheck(lambda x: penalty(x, mask), hidden)
