"""Projection of conflicting gradients. Letters: K tasks, N elements of the shared parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.layers.binary_scale import binary_scale
from mtl.weighting.base import WeightedLosses, Weighting, accumulate
from mtl.weighting.gradients import TaskGradients


class PCGrad(Weighting):
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

    min_tasks = 2
    within_step = True
    reads_gradients = True
    order: Tensor
    """Seed of the next random order of the tasks."""

    def __init__(self, tasks: Mapping[str, float]) -> None:
        super().__init__(tasks)
        self.task_gradients: TaskGradients = TaskGradients()
        # The orders follow from a number instead of the random state, so that they are the same in
        # all processes, whose dropout differs.
        self.register_buffer("order", torch.randint(2**53, ()))

    def weights(self) -> dict[str, float]:
        """Return the weights of the run file."""
        return dict(self.tasks)

    def backward(
        self,
        losses: Mapping[str, Tensor],
        shared: Sequence[nn.Parameter],
        penalty: Tensor | None = None,
    ) -> WeightedLosses:
        """Accumulate projected gradients; see `Weighting.backward`."""
        if len(losses) < 2:
            return super().backward(losses, shared, penalty)
        self.add(losses, shared, penalty)
        return self.finish(losses, shared)

    def add(
        self,
        losses: Mapping[str, Tensor],
        shared: Sequence[nn.Parameter],
        penalty: Tensor | None = None,
    ) -> None:
        """Accumulate the gradients of a part as they are; see `Weighting.add`."""
        weighted = self.combine(losses)
        if shared:
            self.task_gradients.add(weighted, shared)
        accumulate(weighted, penalty)

    @torch.no_grad()
    def finish(
        self, losses: Mapping[str, Tensor], shared: Sequence[nn.Parameter]
    ) -> WeightedLosses:
        """Project the gradients of the step; see `Weighting.finish`."""
        if shared:
            self._project(self.task_gradients.take(losses), shared)
        return self.result(self.combine(losses))

    def _project(self, gradients: Tensor, shared: Sequence[nn.Parameter]) -> None:
        # A solved task has a gradient so small that its products are below the range of float32.
        scales = binary_scale(gradients, dim=1)  # [K, 1]
        gradients /= scales
        random = torch.Generator().manual_seed(int(self.order))
        self.order += 1
        changes = projections(gradients @ gradients.T, random) - torch.eye(len(gradients))
        # The backward passes accumulated the plain sum, in which each gradient has the
        # coefficient 1. Only the difference to the projected sum is added.
        change = (scales.cpu().double() * changes).sum(0)
        if change.any():
            sizes = [parameter.numel() for parameter in shared]
            parts = torch.split(change.to(gradients) @ gradients, sizes)
            for parameter, part in zip(shared, parts, strict=True):
                if parameter.grad is not None:
                    parameter.grad += part.view_as(parameter)


def projections(products: Tensor, random: torch.Generator | None = None) -> Tensor:
    """Return the projected gradients as linear combinations, `[K, K]` float64 on the CPU.

    Row i contains the coefficients of the original gradients in the projected gradient i. The
    products of all pairs are enough to compute them.

    Args:
        products: `[K, K]`, g_i · g_j.
        random: Draws the order of the other tasks; None for the generator of torch.
    """
    products = products.cpu().double()  # a loop over scalars is fastest there
    count = len(products)
    mixed = torch.eye(count, dtype=torch.double)
    for i in range(count):
        for j in torch.randperm(count, generator=random).tolist():
            product = mixed[i] @ products[:, j]  # the partly projected g_i · g_j
            if j != i and product < 0:
                mixed[i, j] -= product / products[j, j]
    return mixed
