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

    What changes while it trains is in its state dict, so that a run can go on where it stopped.

    Args:
        tasks: All tasks, and the weight that the run file gives each.
    """

    min_tasks: ClassVar[int] = 1
    """The fewest tasks among which it has anything to balance."""
    within_step: ClassVar[bool] = False
    """Whether these must be in one step."""
    reads_gradients: ClassVar[bool] = False
    """Whether it needs parameters that several tasks train."""
    note: ClassVar[str] = ""
    """What a user should know of the losses that it makes; empty: nothing."""

    def __init__(self, tasks: Mapping[str, float]) -> None:
        super().__init__()
        self.tasks = dict(tasks)

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """Return the weight that each task's loss has now, for the log."""

    def learnt(self) -> dict[str, Tensor]:
        """Return what a person may read of what was learnt, by name: scalars, vectors, matrices."""
        return {}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the names of the rows and columns of what `learnt` gives, where they have some."""
        return {}

    def combine(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted loss (a scalar) of each task given: by default, weight times loss."""
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
        """Take notice of the end of an epoch.

        Args:
            losses: Task to the mean of its losses over the epoch; only the tasks that trained.
        """


def refuse_negative(weighting: str, losses: Mapping[str, float]) -> None:
    """Refuse losses that a method for likelihoods cannot read.

    Raises:
        TrainingError: A loss is below zero; the message names the task.
    """
    for task, loss in losses.items():
        if loss < 0:
            raise TrainingError(
                f"weighting {weighting!r} needs losses of at least 0, and that of task {task!r} is "
                f"{loss:.4g}; mend its head, or take the weighting 'static'"
            )
