"""Penalties that make the weights of several tasks similar. Letter: M tasks.

Each takes the corresponding weights of all tasks, `[M, ...]` with one row per task, and returns a
scalar.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def _scatter(weights: Tensor) -> Tensor:
    """Return Σ_m ‖w_m − w̄‖²."""
    return (weights - weights.mean(0)).square().sum()
