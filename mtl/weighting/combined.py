"""Weightings that combine the gradients of tasks. Letters: K tasks, N shared elements."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.layers.binary_scale import binary_scale
from mtl.weighting.base import WeightedLosses, Weighting, accumulate, check_losses
from mtl.weighting.gradients import TaskGradients


class CombinedGradients(Weighting):
    """Base of weightings that replace the sum of the gradients by another linear combination.

    The losses are multiplied by the weights of the run file first. Only parameters that several
    tasks train are treated this way; the others get plain gradients. A step with one task is not
    changed.

    Args:
        tasks: All tasks with their weights from the run file.
    """

    min_tasks = 2
    within_step = True
    reads_gradients = True

    def __init__(self, tasks: Mapping[str, float]) -> None:
        super().__init__(tasks)
        self.task_gradients: TaskGradients = TaskGradients()

    @abstractmethod
    def changes(self, products: Tensor, scales: Tensor, tasks: Sequence[str]) -> Tensor:
        """Return the coefficients of h_i in the new gradient minus the sum, `[K]` float64.

        The gradient of the weighted loss i is s_i · h_i.

        Args:
            products: `[K, K]` float64 on the CPU, h_i · h_j.
            scales: `[K]` float64 on the CPU, the powers of two s_i.
            tasks: The tasks of the step, in the order of the rows.
        """

    def weights(self) -> dict[str, float]:
        """Return the weights of the run file."""
        return dict(self.tasks)

    def backward(
        self,
        losses: Mapping[str, Tensor],
        shared: Iterable[nn.Parameter],
        penalty: Tensor | None = None,
    ) -> WeightedLosses:
        """Accumulate combined gradients; see `Weighting.backward`."""
        if len(losses) < 2:
            return super().backward(losses, shared, penalty)
        check_losses(losses, self.tasks)
        shared = list(shared)
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
        """Combine the gradients of the step; see `Weighting.finish`."""
        if shared:
            self._combine(self.task_gradients.take(losses), shared, list(losses))
        return self.result(self.combine(losses))

    def _combine(
        self, gradients: Tensor, shared: Sequence[nn.Parameter], tasks: Sequence[str]
    ) -> None:
        # A solved task has a gradient so small that its products are below the range of float32.
        scales = binary_scale(gradients, dim=1)  # [K, 1]
        gradients /= scales
        # The work on small matrices is fastest on the CPU.
        products = (gradients @ gradients.T).cpu().double()
        # The backward passes accumulated the plain sum. Only the difference to it is added.
        change = self.changes(products, scales.flatten().cpu().double(), tasks)
        if change.any():
            sizes = [parameter.numel() for parameter in shared]
            parts = torch.split(change.to(gradients) @ gradients, sizes)
            for parameter, part in zip(shared, parts, strict=True):
                if parameter.grad is not None:
                    parameter.grad += part.view_as(parameter)
