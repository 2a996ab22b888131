"""The gradients of the tasks are made orthogonal and equally long."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mtl.weighting import Aligned

FLAT = 5
"""The number of elements of the two shared parameters."""


def followed(gradients: NDArray[np.float64], weights: dict[str, float]) -> NDArray[np.float64]:
    """The gradient of the shared parameters under losses with these gradients."""
    shared = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(1, 2))]
    flat = torch.cat([parameter.flatten() for parameter in shared])
    rows = torch.tensor(gradients, dtype=torch.float)
    losses = {f"t{i}": row @ flat for i, row in enumerate(rows)}
    Aligned(weights).backward(losses, shared)
    return torch.cat([p.grad.flatten() for p in shared]).double().numpy()


def expected(gradients: NDArray[np.float64], weights: list[float]) -> NDArray[np.float64]:
    """The formula of the paper by a singular value decomposition of the gradients themselves."""
    left, sigma, right = np.linalg.svd(gradients, full_matrices=False)
    kept = sigma > 1e-3 * sigma[0]
    aligned = sigma[kept].min() * left[:, kept] @ right[kept]
    return np.array(weights) @ aligned


@pytest.mark.parametrize("count", [2, 3, 4])
def test_gradients_are_those_of_a_singular_value_decomposition(count: int) -> None:
    random = np.random.default_rng(count)
    gradients = random.normal(size=(count, FLAT)) * 10.0 ** random.uniform(-1, 1, (count, 1))
    weights = random.uniform(0.5, 2, count).tolist()
    found = followed(gradients, {f"t{i}": weight for i, weight in enumerate(weights)})
    assert found == pytest.approx(expected(gradients, weights), rel=1e-4, abs=1e-5)


def test_two_tasks_by_hand() -> None:
    """Orthogonal gradients of lengths 3 and 1 both have the length 1, then."""
    gradients = np.eye(2, FLAT) * [[3.0], [1.0]]
    assert followed(gradients, {"t0": 1.0, "t1": 2.0}) == pytest.approx([1, 2, 0, 0, 0])


def test_equal_gradients_have_one_direction() -> None:
    gradients = np.ones((2, FLAT))
    weights = {"t0": 1.0, "t1": 1.0}
    assert followed(gradients, weights) == pytest.approx(expected(gradients, [1, 1]), rel=1e-5)


def test_opposite_gradients_of_equal_length_cancel() -> None:
    gradients = np.outer([1.0, -1.0], np.ones(FLAT))
    assert followed(gradients, {"t0": 1.0, "t1": 1.0}) == pytest.approx(np.zeros(FLAT), abs=1e-6)


def test_the_order_and_the_common_scale_of_tasks_do_not_matter() -> None:
    gradients = np.random.default_rng(1).normal(size=(3, FLAT))
    weights = {"t0": 1.0, "t1": 0.5, "t2": 2.0}
    found = followed(gradients, weights)
    turned = {"t0": 2.0, "t1": 0.5, "t2": 1.0}
    assert followed(gradients[::-1].copy(), turned) == pytest.approx(found, rel=1e-4)
    assert followed(2**40 * gradients, weights) == pytest.approx(2**40 * found, rel=1e-5)
    assert followed(2.0**-80 * gradients, weights) == pytest.approx(2.0**-80 * found, rel=1e-5)


def test_a_task_of_weight_zero_has_no_part() -> None:
    gradients = np.random.default_rng(2).normal(size=(3, FLAT))
    found = followed(gradients, {"t0": 1.0, "t1": 0.0, "t2": 2.0})
    assert found == pytest.approx(expected(gradients[[0, 2]], [1, 2]), rel=1e-4)


def test_a_solved_task_has_no_part() -> None:
    gradients = np.random.default_rng(3).normal(size=(3, FLAT))
    gradients[1] = 0
    found = followed(gradients, {"t0": 1.0, "t1": 1.0, "t2": 2.0})
    assert found == pytest.approx(expected(gradients[[0, 2]], [1, 2]), rel=1e-4)


def test_without_any_gradient_there_is_none() -> None:
    weights = {"t0": 1.0, "t1": 1.0}
    assert followed(np.zeros((2, FLAT)), weights).tolist() == [0] * FLAT


def test_gradients_that_are_not_finite_are_left_to_the_trainer() -> None:
    gradients = np.ones((2, FLAT))
    gradients[0, 0] = np.nan
    assert np.isnan(followed(gradients, {"t0": 1.0, "t1": 1.0})[0])


def test_what_is_not_shared_has_the_gradient_of_the_weighted_sum() -> None:
    shared, own = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(()))
    losses: dict[str, Tensor] = {"t0": 3 * shared[0] * own, "t1": shared[1] * own}
    Aligned({"t0": 1.0, "t1": 2.0}).backward(losses, [shared])
    assert own.grad.item() == 3 + 2
