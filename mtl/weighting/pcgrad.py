"""Gradients without their conflicts. Letters: K tasks, N numbers in the parameters they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.weighting.base import Weighting
from mtl.weighting.gradients import task_gradients


class PCGrad(Weighting):
    """Gradients of tasks that point against each other are projected (Yu et al. 2020).

    Where g_i · g_j < 0, task i gives up what stands against task j: g_i − (g_i · g_j / ‖g_j‖²) g_j,
    for all other tasks j of the step in random order, against their gradients as they were. Losses
    have the weights of the run file before. What several tasks train is treated so, the rest has
    plain gradients; a step with one task is plain, so mix tasks of several corpora by `joint`. It
    costs a pass backwards through the shared part for each task of a step.

    Args:
        tasks: All tasks, and the weight that the run file gives each.
    """

    min_tasks = 2
    within_step = True
    reads_gradients = True

    def weights(self) -> dict[str, float]:
        """Return the weights given."""
        return dict(self.tasks)

    def backward(
        self,
        losses: Mapping[str, Tensor],
        shared: Sequence[nn.Parameter],
        penalty: Tensor | None = None,
    ) -> dict[str, float]:
        """Accumulate projected gradients; see `Weighting.backward`."""
        if len(losses) < 2 or not shared:
            return super().backward(losses, shared, penalty)
        gradients = task_gradients(self.combine(losses), shared)
        used = super().backward(losses, shared, penalty)
        change = projections(gradients @ gradients.T).sum(0) - 1
        if change.any():
            sizes = [parameter.numel() for parameter in shared]
            parts = torch.split(change.to(gradients) @ gradients, sizes)
            for parameter, part in zip(shared, parts, strict=True):
                if parameter.grad is not None:
                    parameter.grad += part.view_as(parameter)
        return used


def projections(products: Tensor) -> Tensor:
    """Return the projected gradients as sums of the given ones, `[K, K]` float64 on the CPU.

    Row i says how much of each gradient there is in what is left of gradient i. That needs no more
    than the products of all pairs.

    Args:
        products: `[K, K]`, g_i · g_j.
    """
    products = products.double().cpu()
    count = len(products)
    mixed = torch.eye(count, dtype=torch.double)
    for i in range(count):
        for j in torch.randperm(count).tolist():
            product = mixed[i] @ products[:, j]
            if j != i and product < 0:
                mixed[i, j] -= product / products[j, j]
    return mixed
