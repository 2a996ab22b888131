"""Penalties that make the weights of several tasks similar. Letter: M tasks.

Each takes the corresponding weights of all tasks, `[M, ...]` with one row per task, and returns a
scalar.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor


def distance_penalty(weights: Tensor) -> Tensor:
    """Return Σ_{a<b} ‖w_a − w_b‖², over all pairs of tasks (Duong et al. 2015).

    Args:
        weights: `[M, ...]`.
    """
    return len(weights) * _scatter(weights)  # the same sum, without a loop over pairs


def mean_penalty(weights: Tensor, *, within: float = 1.0) -> Tensor:
    """Return ‖w̄‖² + (λ/M) Σ_m ‖w_m − w̄‖², w̄ the mean over tasks (Evgeniou & Pontil 2004).

    Args:
        weights: `[M, ...]`.
        within: λ.
    """
    return weights.mean(0).square().sum() + within / len(weights) * _scatter(weights)


def clustered_penalty(
    weights: Tensor, clusters: Sequence[int], *, between: float = 1.0, within: float = 1.0
) -> Tensor:
    """Return ‖w̄‖² + λ₁ Σ_c M_c ‖w̄_c − w̄‖² + λ₂ Σ_c Σ_{m in c} ‖w_m − w̄_c‖² (Jacob et al. 2009).

    w̄ is the mean over all tasks, and w̄_c the mean over the M_c tasks of cluster c. Tasks of the
    same cluster become similar, and clusters less so. The clusters are fixed, not learned.

    Args:
        weights: `[M, ...]`.
        clusters: The cluster id of each task.
        between: λ₁.
        within: λ₂.

    Raises:
        ValueError: The number of cluster ids is not M.
    """
    if len(clusters) != len(weights):
        raise ValueError(
            f"clusters: expected {len(weights)} cluster ids, one per task, got {len(clusters)}"
        )
    overall = weights.mean(0)
    total = overall.square().sum()
    for cluster in sorted(set(clusters)):
        members = weights[[c == cluster for c in clusters]]
        centre = members.mean(0)
        total = total + between * len(members) * (centre - overall).square().sum()
        total = total + within * _scatter(members)
    return total


def trace_penalty(weights: Tensor) -> Tensor:
    """Return the sum of the singular values of `[M, N]`, the trace norm (Yang & Hospedales 2017).

    It is small if the weights of all tasks span few dimensions, so tasks can share features without
    being similar. The paper flattens a tensor in three ways; this is the one with one row per task.

    Args:
        weights: `[M, ...]`.
    """
    singular: Tensor = torch.linalg.svdvals(weights.flatten(1))
    return singular.sum()


def block_penalty(weights: Tensor, order: float = 2.0) -> Tensor:
    """Return Σ_i ‖(w_1i, …, w_Mi)‖_q over the weights i, ℓ1/ℓq (Argyriou et al. 2007: q = 2).

    It drives the same weights to zero for all tasks (group sparsity).

    Args:
        weights: `[M, ...]`.
        order: q, usually 2. With infinity only the largest weight among the tasks counts.
    """
    norms: Tensor = torch.linalg.vector_norm(weights, ord=order, dim=0)
    return norms.sum()


def relationship_penalty(weights: Tensor, covariance: Tensor) -> Tensor:
    """Return tr(Wᵀ Σ⁻¹ W), with one task per row of W: related tasks become similar.

    Up to a constant it equals −2 times the log-density of a matrix normal distribution with task
    covariance Σ (Zhang & Yeung 2010; for layer weights, Long et al. 2017).

    Args:
        weights: `[M, ...]`.
        covariance: Σ, `[M, M]`, positive definite.
    """
    rows = weights.flatten(1)
    total: Tensor = (rows * torch.linalg.solve(covariance, rows)).sum()
    return total


def task_covariance(weights: Tensor, *, floor: float = 0.0) -> Tensor:
    """Return Σ = (W Wᵀ)^½ / tr (W Wᵀ)^½, `[M, M]`, one task per row of W (Zhang & Yeung 2010).

    It minimises `relationship_penalty` among all covariances with trace 1. The minimum equals the
    square of `trace_penalty`.

    Args:
        weights: `[M, ...]`. If all weights are zero, the result is I / M.
        floor: Share ε of I / M in the result (1 − ε) Σ + ε I / M. With ε > 0 the result has an
            inverse even if tasks have equal weights; its trace is still 1.
    """
    rows = weights.flatten(1).double()
    squares, vectors = torch.linalg.eigh(rows @ rows.T)
    roots = squares.clamp(min=0).sqrt()  # rounding can make small eigenvalues negative
    roots = roots.where(roots.any(), 1)
    shares = (1 - floor) * roots / roots.sum() + floor / len(rows)
    covariance: Tensor = (vectors * shares) @ vectors.T
    return covariance.to(weights.dtype)


def dirty_penalty(weights: Tensor, block: float) -> Tensor:
    """Return min over B + S = W of r Σ_i max_m |b_mi| + Σ_mi |s_mi| (Jalali et al. 2010).

    B is zero for all tasks at once, and S weight by weight: tasks share most of their features,
    and each has a few of its own. For each weight i, the minimum over B and S is the sum of the ⌊r⌋
    largest of the M absolute values, plus (r − ⌊r⌋) times the next one.

    Args:
        weights: `[M, ...]`.
        block: r, the cost of the shared part; from 1 (ℓ1/ℓ∞) to M (ℓ1).
    """
    sizes = weights.flatten(1).abs().sort(0, descending=True).values
    counted = (block - torch.arange(len(sizes), device=sizes.device)).clamp(0, 1)
    total: Tensor = (counted.to(sizes.dtype) @ sizes).sum()
    return total


def tree_penalty(weights: Tensor, tree: Sequence[Any], joint: float) -> Tensor:
    """Return the tree-guided group lasso Σ_i Σ_v ω_v ‖w_i of the tasks below v‖ (Kim & Xing 2010).

    A node costs g times the norm of all its tasks, plus 1 − g times the costs of its children; a
    single task costs its absolute value. So the weights ω of the nodes above a task sum to 1, and
    tasks that are close in the tree drop the same weights.

    Args:
        weights: `[M, ...]`.
        tree: The children of the root: the index of a task, or the list of children of a node.
        joint: g, from 0 (ℓ1) to 1 (the root alone, ℓ1/ℓ2).
    """
    tasks = _leaves(tree)
    together = block_penalty(weights[tasks])
    parts = [
        tree_penalty(weights, child, joint) if isinstance(child, list) else weights[child].abs()
        for child in tree
    ]
    return joint * together + (1 - joint) * torch.stack([part.sum() for part in parts]).sum()


def _leaves(tree: Sequence[Any]) -> list[int]:
    """Return the indices of the tasks in a tree."""
    return [
        task for child in tree for task in (_leaves(child) if isinstance(child, list) else [child])
    ]


def fused_penalty(weights: Tensor, edges: Sequence[Sequence[int]]) -> Tensor:
    """Return Σ_(a,b) Σ_i |w_ai − w_bi| over the edges of a graph of tasks (Kim & Xing 2009).

    It makes many weights of neighbours equal, and leaves the others apart.

    Args:
        weights: `[M, ...]`.
        edges: The indices of the two tasks of each edge.
    """
    if not edges:
        return weights.new_zeros(())
    first, second = zip(*edges, strict=True)
    return (weights[list(first)] - weights[list(second)]).abs().sum()


def subspace_penalty(weights: Tensor, dimensions: int) -> Tensor:
    """Return Σ_m ‖w_m − Θᵀ Θ w_m‖² with the best Θ of some dimensions (Ando & Zhang 2005).

    Each task is the sum of a vector in a subspace that all tasks share, which is free, and of a
    vector of its own, which is not. The rows of Θ are the first right singular vectors of the
    matrix with one row per task, so the penalty is the sum of its other squared singular values.

    Args:
        weights: `[M, ...]`.
        dimensions: The number of dimensions of the subspace, less than M.
    """
    rows = weights.flatten(1)
    squares: Tensor = torch.linalg.eigvalsh(rows @ rows.T)  # ascending
    return squares[:-dimensions].sum()


def tensor_normal_penalty(weights: Tensor, inverses: Sequence[Tensor]) -> Tensor:
    """Return vec(W)ᵀ (Σ₁ ⊗ Σ₂ ⊗ …)⁻¹ vec(W), with one covariance per axis (Long et al. 2017).

    Up to a constant it equals −2 times the log-density of a tensor normal distribution.

    Args:
        weights: `[M, D_1, …, D_n]`.
        inverses: The inverse covariance of each axis: tasks `[M, M]`, then `[D_1, D_1]`, ….
    """
    return (weights * _along_axes(weights, inverses)).sum()


def axis_inverses(
    weights: Tensor, inverses: Sequence[Tensor], *, floor: float = 0.01
) -> list[Tensor]:
    """Return inverse covariances of all axes after one sweep of flip-flop (Long et al. 2017).

    The most likely covariance of an axis, given the others, is the mean of the products of its
    slices, weighted by the inverses of the others. Each is then divided by its mean variance,
    since only the product of the scales is determined.

    Args:
        weights: `[M, D_1, …, D_n]`. For an axis whose weights are all zero the result is I.
        inverses: The inverse covariances before the sweep.
        floor: Share of I in each covariance, so that it has an inverse.
    """
    exact = weights.double()
    found = [inverse.double() for inverse in inverses]
    for axis, size in enumerate(exact.shape):
        eye = torch.eye(size, dtype=exact.dtype, device=exact.device)
        others = [eye if i == axis else inverse for i, inverse in enumerate(found)]
        slices = exact.movedim(axis, 0).flatten(1)
        weighted = _along_axes(exact, others).movedim(axis, 0).flatten(1)
        covariance = slices @ weighted.T
        mean = covariance.trace() / size
        covariance = torch.where(mean > 0, covariance / mean.where(mean > 0, 1), eye)
        found[axis] = torch.linalg.inv((1 - floor) * covariance + floor * eye)
    return [inverse.to(weights.dtype) for inverse in found]


def _along_axes(weights: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Return a tensor, multiplied along each axis by a matrix."""
    for matrix in matrices:
        # Contracts axis 0 and appends it at the end: after all axes they are in their order.
        weights = torch.tensordot(weights, matrix, ([0], [1]))
    return weights


def task_clusters(weights: Tensor, number: int) -> list[int]:
    """Return the cluster id of each task, by Ward's method (1963).

    Clusters are merged, from one per task, until `number` are left: always the two whose union has
    the least additional squared distance of tasks to the mean of their cluster.

    Args:
        weights: `[M, ...]`.
        number: The number of clusters, from 1 to M.
    """
    rows = weights.flatten(1).double()
    clusters = [[task] for task in range(len(rows))]

    def cost(pair: tuple[int, int]) -> float:
        a, b = (clusters[i] for i in pair)
        share = len(a) * len(b) / (len(a) + len(b))
        return share * (rows[a].mean(0) - rows[b].mean(0)).square().sum().item()

    while len(clusters) > number:
        a, b = min(combinations(range(len(clusters)), 2), key=cost)
        clusters[a] += clusters.pop(b)
    return [next(i for i, own in enumerate(clusters) if task in own) for task in range(len(rows))]


def _scatter(weights: Tensor) -> Tensor:
    """Return Σ_m ‖w_m − w̄‖²."""
    return (weights - weights.mean(0)).square().sum()
