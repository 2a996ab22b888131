"""Scales by powers of two."""

from __future__ import annotations

import math

import torch

from mtl.layers.binary_scale import binary_scale


def test_the_largest_number_is_divided_to_between_one_and_two_without_rounding() -> None:
    for exponent in range(-126, 128):
        x = torch.tensor([1.3 * 2.0**exponent, -(2.0**exponent), 0.0])
        assert binary_scale(x) == 2.0**exponent
    assert (torch.tensor([1e-45]) / binary_scale(torch.tensor([1e-45]))).item() > 1e-8


def test_each_row_has_its_own_scale() -> None:
    x = torch.tensor([[3.0, -0.1], [0.0, 0.0], [0.0, -1024.0]])
    assert binary_scale(x, dim=1).tolist() == [[2.0], [1.0], [1024.0]]


def test_numbers_without_a_scale_are_left_alone() -> None:
    for number in (0.0, math.inf, -math.inf, math.nan):
        assert binary_scale(torch.tensor([number, 1.0 if math.isnan(number) else 0.0])) == 1


def test_it_has_no_gradient() -> None:
    assert not binary_scale(torch.ones(3, requires_grad=True)).requires_grad
