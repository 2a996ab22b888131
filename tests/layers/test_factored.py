"""Stacks of weights as products of smaller tensors."""

from __future__ import annotations

from math import ceil
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl.layers import FactoredStack
from mtl.layers.factored import Factors

SHAPES = [(3,), (3, 5), (3, 5, 4), (4, 2, 3, 6)]
factors = pytest.mark.parametrize("factors", get_args(Factors))
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def stack(*shape: int) -> Tensor:
    return torch.randn(*shape).double()


def arrays(factored: FactoredStack) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in (factored.mix, *factored.parts)]


@shapes
@factors
def test_at_full_rank_the_stack_is_as_it_was(factors: Factors, shape: tuple[int, ...]) -> None:
    given = stack(*shape)
    torch.testing.assert_close(FactoredStack(given, factors, 1.0)(), given)


def test_tasks_that_are_multiples_of_one_need_one_base() -> None:
    given = torch.tensor([1.0, 2.0, -3.0]).double()[:, None, None] * stack(5, 4)
    found = FactoredStack(given, "last_axis", 1 / 3)
    assert found.mix.shape == (3, 1)
    torch.testing.assert_close(found(), given)


def test_the_last_axis_factorisation_equals_the_svd_of_numpy() -> None:
    given = stack(4, 3, 5)
    left, values, right = np.linalg.svd(given.numpy().reshape(4, 15), full_matrices=False)
    best = (left[:, :2] * values[:2]) @ right[:2]  # no matrix of rank 2 is nearer
    found = FactoredStack(given, "last_axis", 0.5)
    np.testing.assert_allclose(found().detach().numpy().reshape(4, 15), best)
    assert [array.shape for array in arrays(found)] == [(4, 2), (2, 3, 5)]


def test_tucker_1966_a_matrix_for_each_axis_of_a_core() -> None:
    found = FactoredStack(stack(4, 6, 5), "tucker", 0.5)
    mix, core, *matrices = arrays(found)
    assert [a.shape for a in (mix, core, *matrices)] == [(4, 2), (2, 3, 3), (6, 3), (5, 3)]
    expected = np.einsum("ma,abc,ib,jc->mij", mix, core, *matrices)
    np.testing.assert_allclose(found().detach().numpy(), expected)


def test_oseledets_2011_a_chain_of_tensors_each_an_axis_long() -> None:
    found = FactoredStack(stack(4, 6, 5), "tensor_train", 0.5)
    mix, first, last = arrays(found)
    assert [a.shape for a in (mix, first, last)] == [(4, 2), (2, 6, 3), (3, 5)]
    expected = np.einsum("ma,aib,bj->mij", mix, first, last)
    np.testing.assert_allclose(found().detach().numpy(), expected)


@pytest.mark.parametrize("factors", ["tucker", "tensor_train"])
def test_what_is_lost_is_no_more_than_the_values_left_out(factors: Factors) -> None:
    given = stack(4, 6, 5)
    found = FactoredStack(given, factors, 0.5)()
    lost = 0.0
    for axis in range(3):
        unfolded = given.movedim(axis, 0).flatten(1).numpy()
        values = np.linalg.svd(unfolded, compute_uv=False)
        lost += (values[ceil(len(values) / 2) :] ** 2).sum()
    assert 0 < (found - given).square().sum() <= lost


@factors
def test_the_greater_the_rank_the_nearer(factors: Factors) -> None:
    given = stack(4, 8, 6)
    errors = [(FactoredStack(given, factors, r)() - given).norm() for r in (0.25, 0.5, 0.75, 1.0)]
    assert errors == sorted(errors, reverse=True)


@factors
def test_gradients_are_those_of_finite_differences(factors: Factors) -> None:
    factored = FactoredStack(stack(3, 4, 2), factors, 0.5)
    names = [name for name, _ in factored.named_parameters()]

    def made(*given: Tensor) -> Tensor:
        return torch.func.functional_call(factored, dict(zip(names, given, strict=True)), ())

    assert torch.autograd.gradcheck(made, [*factored.parameters()])


@pytest.mark.parametrize("rank", [0.0, 1.5])
def test_a_rank_is_a_share(rank: float) -> None:
    with pytest.raises(ValueError, match=r"rank: expected a share of the full rank in \(0, 1\]"):
        FactoredStack(stack(3, 4), "tucker", rank)
