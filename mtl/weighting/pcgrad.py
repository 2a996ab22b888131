"""Projection of conflicting gradients. Letters: K tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mtl.weighting.combined import CombinedGradients


class PCGrad(CombinedGradients):
    """PCGrad, gradient surgery: project conflicting task gradients (Yu et al. 2020).

    If g_i · g_j < 0, the component of g_i along g_j is removed: g_i − (g_i · g_j / ‖g_j‖²) g_j.
    This is done for all other tasks j of the step in random order, with their original gradients.
    The losses are multiplied by the weights of the run file first. Only parameters that several
    tasks train are treated this way; the others get plain gradients. A step with one task is not
    changed, so use the mixing `joint` for tasks of several corpora. It costs one backward pass
    through the shared parameters per task and step.

    Args:
        tasks: All tasks with their weights from the run file.
    """

    order: Tensor
    """Seed of the next random order of the tasks."""

    def __init__(self, tasks: Mapping[str, float]) -> None:
        super().__init__(tasks)
        # The orders follow from a number instead of the random state, so that they are the same in
        # all processes, whose dropout differs.
        self.register_buffer("order", torch.randint(2**53, ()))

    def changes(self, products: Tensor, scales: Tensor, tasks: Sequence[str]) -> Tensor:
        """Return the projected gradients minus the gradients; see `CombinedGradients.changes`."""
        random = torch.Generator().manual_seed(int(self.order))
        self.order += 1
        # Projections do not depend on the lengths of the gradients.
        return scales @ (projections(products, random) - torch.eye(len(products)))


def projections(products: Tensor, random: torch.Generator | None = None) -> Tensor:
    """Return the projected gradients as linear combinations, `[K, K]` float64.

    Row i contains the coefficients of the original gradients in the projected gradient i. The
    products of all pairs are enough to compute them.

    Args:
        products: `[K, K]` float64, g_i · g_j.
        random: Draws the order of the other tasks; None for the generator of torch.
    """
    count = len(products)
    mixed = torch.eye(count, dtype=torch.double)
    for i in range(count):
        for j in torch.randperm(count, generator=random).tolist():
            product = mixed[i] @ products[:, j]  # the partly projected g_i · g_j
            if j != i and product < 0:
                mixed[i, j] -= product / products[j, j]
    return mixed
