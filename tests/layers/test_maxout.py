"""The maximum of pieces, and the piece that its gradient goes to."""

from __future__ import annotations

import pytest
import torch

from mtl.layers import maxout


@pytest.mark.parametrize("pieces", [2, 3, 5])
def test_each_unit_is_its_largest_piece(pieces: int) -> None:
    x = torch.randn(2, 4, pieces * 3, dtype=torch.float64, requires_grad=True)
    expected = torch.stack(x.chunk(pieces, dim=-1)).max(0).values
    assert torch.equal(maxout(x, pieces), expected)
    assert torch.equal(maxout(x.detach(), pieces), expected)
    assert torch.autograd.gradcheck(maxout, (x, pieces))


def test_of_equal_pieces_the_first_gets_the_gradient() -> None:
    x = torch.tensor([1.0, 5, 2, 5, 2, 4], requires_grad=True)  # three pieces of two units
    maxout(x, 3).backward(torch.tensor([3.0, 7]))
    assert x.grad.tolist() == [0, 7, 3, 0, 0, 0]


def test_half_precision_is_kept() -> None:
    x = torch.randn(3, 8, dtype=torch.bfloat16, requires_grad=True)
    maxout(x, 2).sum().backward()
    assert x.grad.dtype == maxout(x, 2).dtype == torch.bfloat16
    assert x.grad.sum() == 12
