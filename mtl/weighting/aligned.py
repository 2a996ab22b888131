"""Alignment of the principal components of the gradients. Letters: K tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.weighting.combined import CombinedGradients

_NOISE = 1e-7
"""Share of the largest eigenvalue, per task, below which float32 gradients have only rounding."""


class Aligned(CombinedGradients):
    """Aligned-MTL: make the gradients orthogonal and equally long (Senushkin et al. 2023).

    The matrix G with one gradient per row has the singular values σ_1 ≥ … ≥ σ_r > 0. All of them
    are replaced by σ_r, so that the gradients no longer conflict, and none dominates. The shared
    parameters get the sum of the new gradients, each times the weight w_t of the run file. With the
    eigenvectors V of G Gᵀ it is wᵀ V diag(σ_r / σ) Vᵀ G. Directions that contain only rounding
    errors are omitted. Only parameters that several tasks train are treated this way; the others
    get plain gradients. A step with one task is not changed, so use the mixing `joint` for tasks of
    several corpora. It costs one backward pass through the shared parameters per task and step.

    The update is as short as the smallest component: a task that is almost solved makes the steps
    short for an optimiser whose steps depend on the length of gradients, such as SGD.

    Args:
        tasks: All tasks with their weights from the run file.
    """

    def changes(self, products: Tensor, scales: Tensor, tasks: Sequence[str]) -> Tensor:
        """Return the aligned gradients minus the gradients; see `CombinedGradients.changes`."""
        weights = scales.new_tensor([self.tasks[task] for task in tasks])
        # The gradient of the unweighted loss is h_i times this; a task of weight 0 has no gradient.
        own = torch.where(weights > 0, scales / weights, 0)
        return own * alignment(products * own.outer(own), weights) - scales


def alignment(products: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum of the aligned gradients as a linear combination, `[K]` float64.

    Args:
        products: `[K, K]` float64, g_i · g_j.
        weights: `[K]` float64, the weights w_i.
    """
    if not (products.any() and products.isfinite().all()):
        return weights  # there is nothing to align, or the trainer reports a divergence
    values, vectors = torch.linalg.eigh(products)
    kept = values > len(values) * _NOISE * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    aligned: Tensor = vectors @ ((values[0] / values).sqrt() * (weights @ vectors))
    return aligned
