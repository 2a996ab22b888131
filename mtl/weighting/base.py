"""The contract of loss weighting: several losses in, one backward pass out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class Weighting(nn.Module, ABC):
    """Balances the losses of the tasks.

    Args:
        tasks: All tasks, and the weight that the run file gives each.
    """

    def __init__(self, tasks: Mapping[str, float]) -> None:
        super().__init__()
        self.tasks = dict(tasks)

    @abstractmethod
    def combine(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted loss (a scalar) of each task given."""

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """Return the weight that each task's loss has now, for the log."""

    def learnt(self) -> dict[str, Tensor]:
        """Return what a person may read of what was learnt, by name: scalars, vectors, matrices."""
        return {}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the names of the rows and columns of what `learnt` gives, where they have some."""
        return {}

    def backward(
        self,
        losses: Mapping[str, Tensor],
        shared: Sequence[nn.Parameter],
        penalty: Tensor | None = None,
    ) -> dict[str, float]:
        """Accumulate gradients of the weighted sum; return the weights used.

        Args:
            losses: Task to its mean loss, a scalar; only the tasks of this step.
            shared: The parameters that several tasks train (for methods that alter gradients).
            penalty: Further terms of the loss, unweighted.
        """
        total = sum(self.combine(losses).values(), start=losses[next(iter(losses))].new_zeros(()))
        if penalty is not None:
            total = total + penalty
        torch.autograd.backward(total)
        used = self.weights()
        return {task: used[task] for task in losses}
