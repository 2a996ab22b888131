"""Penalties that draw the weights of several tasks together. Letter: M tasks.

Each takes weights of all tasks that correspond, one task a row of `[M, ...]`, and gives a scalar.
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
    return len(weights) * _spread(weights)  # the same sum, without the pairs


def mean_penalty(weights: Tensor, *, within: float = 1.0) -> Tensor:
    """Return ‖w̄‖² + (λ/M) Σ_m ‖w_m − w̄‖², w̄ the mean of all tasks (Evgeniou & Pontil 2004).

    Args:
        weights: `[M, ...]`.
        within: λ.
    """
    return weights.mean(0).square().sum() + within / len(weights) * _spread(weights)


def clustered_penalty(
    weights: Tensor, clusters: Sequence[int], *, between: float = 1.0, within: float = 1.0
) -> Tensor:
    """Return ‖w̄‖² + λ₁ Σ_c M_c ‖w̄_c − w̄‖² + λ₂ Σ_c Σ_{m in c} ‖w_m − w̄_c‖² (Jacob et al. 2009).

    w̄ is the mean of all tasks, w̄_c that of the M_c tasks of cluster c: tasks of one cluster are
    drawn to each other, and the clusters less so. The clusters are given, not learnt.

    Args:
        weights: `[M, ...]`.
        clusters: The number of each task's cluster.
        between: λ₁.
        within: λ₂.
    """
    if len(clusters) != len(weights):
        raise ValueError(f"clusters: expected {len(weights)} numbers, got {len(clusters)}")
    overall = weights.mean(0)
    total = overall.square().sum()
    for cluster in sorted(set(clusters)):
        own = weights[[number == cluster for number in clusters]]
        centre = own.mean(0)
        total = total + between * len(own) * (centre - overall).square().sum()
        total = total + within * _spread(own)
    return total


def trace_penalty(weights: Tensor) -> Tensor:
    """Return the sum of the singular values of `[M, N]`, the trace norm (Yang & Hospedales 2017).

    It is small where the weights of all tasks lie in few dimensions: tasks share what they have in
    common, and need not be alike. Of the paper's three ways to flatten a tensor, the one that has a
    row a task.

    Args:
        weights: `[M, ...]`.
    """
    singular: Tensor = torch.linalg.svdvals(weights.flatten(1))
    return singular.sum()


def block_penalty(weights: Tensor, order: float = 2.0) -> Tensor:
    """Return Σ_i ‖(w_1i, …, w_Mi)‖_q over the weights i, ℓ1/ℓq (Argyriou et al. 2007: q = 2).

    It makes the same weights zero for all tasks.

    Args:
        weights: `[M, ...]`.
        order: q: 2, or infinity, under which all tasks may use a weight as much as one does.
    """
    norms: Tensor = torch.linalg.vector_norm(weights, ord=order, dim=0)
    return norms.sum()


def relationship_penalty(weights: Tensor, covariance: Tensor) -> Tensor:
    """Return tr(Wᵀ Σ⁻¹ W), one task a row of W, which draws them together as far as Σ relates them.

    Minus twice the logarithm of a matrix normal density with covariance Σ of the tasks, less what
    does not depend on W (Zhang & Yeung 2010; of the weights of layers, Long et al. 2017).

    Args:
        weights: `[M, ...]`.
        covariance: Σ, `[M, M]`, positive definite.
    """
    rows = weights.flatten(1)
    total: Tensor = (rows * torch.linalg.solve(covariance, rows)).sum()
    return total


def task_covariance(weights: Tensor, *, floor: float = 0.0) -> Tensor:
    """Return Σ = (W Wᵀ)^½ / tr (W Wᵀ)^½, `[M, M]`, one task a row of W (Zhang & Yeung 2010).

    Of all covariances with trace 1 the one for which `relationship_penalty` is least, and then it
    is the square of `trace_penalty`.

    Args:
        weights: `[M, ...]`; of such that are all zero, any Σ is best, and I / M is returned.
        floor: Share ε of I / M in what is returned, (1 − ε) Σ + ε I / M, whose trace is 1 as well
            and which has an inverse also if some tasks have the same weights.
    """
    rows = weights.flatten(1).double()
    squares, vectors = torch.linalg.eigh(rows @ rows.T)
    roots = squares.clamp(min=0).sqrt()
    roots = roots.where(roots.any(), 1)
    shares = (1 - floor) * roots / roots.sum() + floor / len(rows)
    covariance: Tensor = (vectors * shares) @ vectors.T
    return covariance.to(weights.dtype)


def _spread(weights: Tensor) -> Tensor:
    """Return Σ_m ‖w_m − w̄‖²."""
    return (weights - weights.mean(0)).square().sum()
