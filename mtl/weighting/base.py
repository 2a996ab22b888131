"""The contract of loss weighting: several losses in, one backward pass out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtl.errors import TrainingError
from mtl.options import Checked


class Weighting(Checked, nn.Module, ABC):
    """Balances the losses of the tasks.

    State that changes in training is in its state dict, so that a run can be resumed.

    Args:
        tasks: All tasks, with their weights in the run file.
    """

    min_tasks: ClassVar[int] = 1
    """The smallest number of tasks."""
    within_step: ClassVar[bool] = False
    """Whether `min_tasks` tasks must occur in the same step."""
    reads_gradients: ClassVar[bool] = False
    """Whether it needs parameters that several tasks train."""
    note: ClassVar[str] = ""
    """A note for the user on the weighted losses; may be empty."""

    def __init__(self, tasks: Mapping[str, float]) -> None:
        super().__init__()
        self.tasks = dict(tasks)

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """Return the present weight of each task's loss, for the log."""

    def learnt(self) -> dict[str, Tensor]:
        """Return learned quantities for the report, by name: scalars, vectors or matrices."""
        return {}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the names of rows and columns of learned quantities, if they have any."""
        return {}

    def combine(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted loss of each task, a scalar: by default, weight times loss."""
        weights = self.weights()
        return {task: weights[task] * loss for task, loss in losses.items()}

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

    def end_epoch(self, losses: Mapping[str, float]) -> None:
        """Process the end of an epoch.

        Args:
            losses: Task to the mean of its losses over the epoch; only the tasks that trained.
        """


def refuse_negative(weighting: str, losses: Mapping[str, float]) -> None:
    """Raise TrainingError for a negative loss, which methods for likelihoods cannot use."""
    for task, loss in losses.items():
        if loss < 0:
            raise TrainingError(
                f"weighting {weighting!r} needs losses of at least 0, got {loss:.4g} for task "
                f"{task!r}; correct its head, or choose the weighting 'static'"
            )
