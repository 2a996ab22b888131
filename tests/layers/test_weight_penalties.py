"""Penalties between the weights of tasks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from math import inf

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from mtl.layers import (
    axis_inverses,
    block_penalty,
    clustered_penalty,
    dirty_penalty,
    distance_penalty,
    fused_penalty,
    mean_penalty,
    relationship_penalty,
    subspace_penalty,
    task_clusters,
    task_covariance,
    tensor_normal_penalty,
    trace_penalty,
    tree_penalty,
)

CLUSTERS = [0, 1, 0]
COVARIANCE = torch.tensor([[0.5, 0.2, 0.1], [0.2, 0.3, 0.0], [0.1, 0.0, 0.2]]).double()
PENALTIES: dict[str, Callable[[Tensor], Tensor]] = {
    "distance": distance_penalty,
    "mean": mean_penalty,
    "clustered": lambda weights: clustered_penalty(weights, CLUSTERS),
    "trace": trace_penalty,
    "l1_l2": block_penalty,
    "l1_linf": lambda weights: block_penalty(weights, inf),
    "dirty": lambda weights: dirty_penalty(weights, 1.7),
    "tree": lambda weights: tree_penalty(weights, [[0, 2], 1], 0.3),
    "graph": lambda weights: fused_penalty(weights, [(0, 2), (2, 1)]),
    "subspace": lambda weights: subspace_penalty(weights, 1),
    "relationship": lambda weights: relationship_penalty(weights, 9 * COVARIANCE.to(weights)),
}
over = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)


def weights() -> Tensor:
    """The weights of three tasks, `[3, 2, 4]`."""
    return torch.randn(3, 2, 4).double()


def test_distances_are_those_of_all_pairs() -> None:
    w = weights()
    expected = sum(np.linalg.norm(a - b) ** 2 for a, b in combinations(w.numpy(), 2))
    assert distance_penalty(w).item() == pytest.approx(expected)


def test_evgeniou_pontil_2004_the_mean_is_small_and_tasks_are_near_it() -> None:
    w = weights().flatten(1)
    mean = w.numpy().mean(0)
    expected = mean @ mean + 5 / 3 * sum((row - mean) @ (row - mean) for row in w.numpy())
    assert mean_penalty(w, within=5).item() == pytest.approx(expected)


def test_jacob_2009_penalty_within_and_between_clusters() -> None:
    a, b, c = w = weights().flatten(1).numpy()
    mean, first = w.mean(0), (a + c) / 2
    expected = mean @ mean
    expected += 0.5 * (2 * (first - mean) @ (first - mean) + (b - mean) @ (b - mean))
    expected += 4 * ((a - first) @ (a - first) + (c - first) @ (c - first))
    found = clustered_penalty(torch.from_numpy(w), CLUSTERS, between=0.5, within=4)
    assert found.item() == pytest.approx(expected)


def test_one_cluster_is_the_penalty_on_the_mean() -> None:
    one = clustered_penalty(w := weights(), [7, 7, 7], within=2, between=100)
    torch.testing.assert_close(one, mean_penalty(w, within=6))


def test_every_task_has_a_cluster() -> None:
    with pytest.raises(ValueError, match="clusters: expected 3 cluster ids, one per task, got 2"):
        clustered_penalty(weights(), [0, 1])


def test_the_trace_norm_sums_the_singular_values_of_the_tasks_flat_weights() -> None:
    w = weights()
    by_numpy = np.linalg.svd(w.reshape(3, 8).numpy(), compute_uv=False).sum()
    assert trace_penalty(w).item() == pytest.approx(by_numpy)


def test_the_trace_norm_of_collinear_tasks_is_one_row_norm() -> None:
    w = torch.tensor([[1.0], [2.0], [-2.0]]).double() * torch.tensor([3.0, 4.0])
    assert trace_penalty(w).item() == pytest.approx(3 * 5)


@pytest.mark.parametrize("order", [2, inf])
def test_block_norms_are_summed_over_the_weights(order: float) -> None:
    w = weights()
    columns = w.flatten(1).T.numpy()
    expected = sum(np.linalg.norm(column, order) for column in columns)
    assert block_penalty(w, order).item() == pytest.approx(expected)


def test_zhang_yeung_2010_penalty_with_the_inverse_covariance() -> None:
    w = (weights_ := weights()).flatten(1).numpy().T  # one column per task, as in the paper
    expected = np.trace(w @ np.linalg.inv(COVARIANCE.numpy()) @ w.T)
    assert relationship_penalty(weights_, COVARIANCE).item() == pytest.approx(expected)


def test_the_penalty_is_a_matrix_normal_density_up_to_a_constant() -> None:
    normal = torch.distributions.MultivariateNormal(torch.zeros(3).double(), COVARIANCE)
    one, other = weights(), weights()
    first, second = (-2 * normal.log_prob(w.flatten(1).T).sum() for w in (one, other))
    difference = relationship_penalty(one, COVARIANCE) - relationship_penalty(other, COVARIANCE)
    torch.testing.assert_close(first - second, difference)


def test_zhang_yeung_2010_the_covariance_is_a_square_root_with_trace_1() -> None:
    w = weights()
    found = task_covariance(w).numpy()
    gram = w.flatten(1).numpy() @ w.flatten(1).numpy().T
    np.testing.assert_allclose(found @ found / np.trace(found @ found), gram / np.trace(gram))
    assert np.trace(found) == pytest.approx(1)
    assert (np.linalg.eigvalsh(found) > 0).all()


def test_under_its_own_covariance_the_penalty_is_the_squared_trace_norm() -> None:
    w = weights()
    found = relationship_penalty(w, task_covariance(w))
    torch.testing.assert_close(found, trace_penalty(w) ** 2)
    assert found < relationship_penalty(w, COVARIANCE)  # and of trace 1 no other has less


@pytest.mark.parametrize("floor", [0.0, 0.01])
def test_weights_of_zero_relate_no_tasks(floor: float) -> None:
    found = task_covariance(torch.zeros(3, 8), floor=floor)
    torch.testing.assert_close(found, torch.eye(3) / 3)


@pytest.mark.parametrize("floor", [0.01, 0.5])
def test_of_tasks_that_are_alike_the_floor_makes_the_covariance_regular(floor: float) -> None:
    found = task_covariance(torch.ones(3, 8).double(), floor=floor)
    expected = (1 - floor) * torch.ones(3, 3) / 3 + floor * torch.eye(3) / 3
    torch.testing.assert_close(found, expected.double())


@over
def test_gradients_are_those_of_finite_differences(penalty: Callable[[Tensor], Tensor]) -> None:
    assert torch.autograd.gradcheck(penalty, weights().requires_grad_())


@over
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_gradients_are_finite_where_tasks_are_alike(
    penalty: Callable[[Tensor], Tensor], start: float
) -> None:
    w = torch.full((3, 2, 4), start, requires_grad=True)
    penalty(w).backward()
    assert w.grad.isfinite().all()
    assert (w.grad.abs() <= 2).all()


@pytest.mark.parametrize("block", [1.0, 1.5, 2.0, 2.7, 3.0])
def test_jalali_2010_the_penalty_is_the_least_over_all_splits_in_two_parts(block: float) -> None:
    w = weights().flatten(1).numpy()
    least = 0.0
    for column in w.T:
        # Variables: b, |s| and the bound of |b|; s = w - b.
        cost, eye = np.array([0.0] * 3 + [1.0] * 3 + [block]), np.eye(3)
        zero, one = np.zeros((3, 3)), np.ones((3, 1))
        rows = [
            np.hstack([eye, zero, -one]),
            np.hstack([-eye, zero, -one]),
            np.hstack([eye, -eye, 0 * one]),
            np.hstack([-eye, -eye, 0 * one]),
        ]
        limits = np.concatenate([np.zeros(6), column, -column])
        least += linprog(cost, np.vstack(rows), limits, bounds=(None, None)).fun
    assert dirty_penalty(weights_of(w), block).item() == pytest.approx(least)


def weights_of(rows: np.ndarray) -> Tensor:
    return torch.from_numpy(rows).unflatten(1, (2, 4))


def test_jalali_2010_its_ends_are_the_two_norms() -> None:
    w = weights()
    torch.testing.assert_close(dirty_penalty(w, 1), block_penalty(w, inf))
    torch.testing.assert_close(dirty_penalty(w, 3), w.abs().sum())


def test_kim_xing_2010_norms_of_the_nodes_of_a_tree() -> None:
    w = weights()
    a, b, c = w.flatten(1).numpy()
    root, node = np.sqrt(a**2 + b**2 + c**2), np.sqrt(a**2 + c**2)
    single = np.abs(a) + np.abs(c)
    expected = 0.3 * root + 0.7 * (0.3 * node + 0.7 * single + np.abs(b))
    found = tree_penalty(w, [[0, 2], 1], 0.3)
    assert found.item() == pytest.approx(expected.sum())
    torch.testing.assert_close(tree_penalty(w, [[0, 2], 1], 1), block_penalty(w))
    torch.testing.assert_close(tree_penalty(w, [[0, 2], 1], 0), w.abs().sum())
    torch.testing.assert_close(tree_penalty(w, [[[0, 2]], 1], 0), w.abs().sum())


def test_kim_xing_2009_neighbours_of_a_graph_are_fused() -> None:
    w = weights()
    a, b, c = w.numpy()
    expected = np.abs(a - c).sum() + np.abs(c - b).sum()
    assert fused_penalty(w, [(0, 2), (2, 1)]).item() == pytest.approx(expected)
    assert not fused_penalty(w, [])


@pytest.mark.parametrize("dimensions", [1, 2])
def test_ando_zhang_2005_distance_to_the_best_common_subspace(dimensions: int) -> None:
    w = weights().flatten(1).numpy()
    theta = np.linalg.svd(w)[2][:dimensions]
    expected = np.sum((w - w @ theta.T @ theta) ** 2)
    assert subspace_penalty(weights_of(w), dimensions).item() == pytest.approx(expected)


def test_a_penalty_on_a_subspace_has_gradients_at_equal_weights() -> None:
    w = weights()[:1].repeat(3, 1, 1).requires_grad_()
    subspace_penalty(w, 1).backward()
    torch.testing.assert_close(w.grad, torch.zeros_like(w))


def covariances() -> list[np.ndarray]:
    """Random covariances of the three axes of `weights()`."""
    roots = [np.random.default_rng(n).normal(size=(n, n)) for n in (3, 2, 4)]
    return [root @ root.T + np.eye(len(root)) for root in roots]


def test_long_2017_the_penalty_is_a_quadratic_form_of_a_kronecker_product() -> None:
    w, (tasks, units, inputs) = weights(), covariances()
    vector = w.numpy().ravel()
    whole = np.kron(np.kron(tasks, units), inputs)
    expected = vector @ np.linalg.solve(whole, vector)
    inverses = [torch.from_numpy(np.linalg.inv(c)) for c in (tasks, units, inputs)]
    assert tensor_normal_penalty(w, inverses).item() == pytest.approx(expected)


def test_long_2017_one_sweep_of_the_flip_flop_estimates() -> None:
    w, found = weights().numpy(), covariances()
    inverses = [torch.from_numpy(np.linalg.inv(c)) for c in found]
    for axis, size in enumerate(w.shape):
        unfolded = np.moveaxis(w, axis, 0).reshape(size, -1)
        first, second = (own for i, own in enumerate(found) if i != axis)
        estimate = unfolded @ np.linalg.solve(np.kron(first, second), unfolded.T)
        estimate *= size / np.trace(estimate)
        found[axis] = 0.9 * estimate + 0.1 * np.eye(size)
    for inverse, expected in zip(
        axis_inverses(torch.from_numpy(w), inverses, floor=0.1), found, strict=True
    ):
        torch.testing.assert_close(inverse, torch.from_numpy(np.linalg.inv(expected)))


def test_of_zero_weights_the_covariances_are_the_identity() -> None:
    eyes = [torch.eye(size) for size in (3, 2)]
    torch.testing.assert_close(axis_inverses(torch.zeros(3, 2), eyes), eyes)


def test_clusters_have_the_least_scatter() -> None:
    centres = torch.tensor([0.0, 5.0, 9.0])
    ids = [0, 1, 0, 2, 1, 0]
    w = centres[ids].unsqueeze(1) + 0.1 * torch.randn(6, 4)
    found = task_clusters(w, 3)
    assert all((found[a] == found[b]) == (ids[a] == ids[b]) for a, b in product(range(6), repeat=2))
    assert task_clusters(w, 6) == [0, 1, 2, 3, 4, 5]
    assert task_clusters(w, 1) == [0] * 6
