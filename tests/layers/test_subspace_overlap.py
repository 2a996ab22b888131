"""The overlap between the subspaces of two outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl.layers import subspace_overlap

MASK = torch.tensor([[True, True, True], [True, False, False]])


def states() -> tuple[Tensor, Tensor]:
    return torch.randn(2, 3, 4).double(), torch.randn(2, 3, 5).double()


def test_liu_2017_overlap_is_the_normalised_norm_of_the_product() -> None:
    hidden, other = states()
    s, p = hidden[MASK].numpy(), other[MASK].numpy()
    expected = np.linalg.norm(s.T @ p) ** 2 / (np.linalg.norm(s) * np.linalg.norm(p)) ** 2
    assert subspace_overlap(hidden, other, MASK).item() == pytest.approx(expected)


def test_it_is_one_for_equal_and_zero_for_orthogonal_outputs() -> None:
    token = torch.tensor([1.0, -2.0, 1.0, 3.0]).expand(2, 3, 4)
    torch.testing.assert_close(subspace_overlap(token, token, MASK), torch.ones(()))
    hidden = torch.tensor([[[1.0], [1.0], [0.0]], [[2.0], [0.0], [0.0]]])
    other = torch.tensor([[[2.0], [0.0], [9.0]], [[-1.0], [9.0], [9.0]]])
    assert subspace_overlap(hidden, other, MASK) == 0


@pytest.mark.parametrize("filler", [7.0, torch.inf, torch.nan])
def test_padding_and_repeated_sentences_change_nothing(filler: float) -> None:
    s, p = states()
    dirty = [x.masked_fill(~MASK.unsqueeze(2), filler).repeat(3, 1, 1) for x in (s, p)]
    found = subspace_overlap(*dirty, MASK.repeat(3, 1))
    torch.testing.assert_close(found, subspace_overlap(s, p, MASK))


@pytest.mark.parametrize("exponent", [-30, -20, -12, -3, 2, 12, 20, 30])
def test_the_size_of_hidden_states_changes_nothing(exponent: int) -> None:
    s, p = (x.float() for x in states())
    scaled = subspace_overlap(10.0**exponent * s, 50 * p, MASK)
    torch.testing.assert_close(scaled, subspace_overlap(s, p, MASK))


def test_gradients_are_those_of_finite_differences() -> None:
    s, p = (x.requires_grad_() for x in states())
    assert torch.autograd.gradcheck(lambda s, p: subspace_overlap(s, p, MASK), (s, p))


def test_nothing_at_all_overlaps_with_nothing() -> None:
    nothing = torch.zeros(2, 3, 4, requires_grad=True)
    subspace_overlap(nothing, nothing, MASK).backward()
    assert not nothing.grad.any()
