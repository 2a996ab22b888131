"""The contract of loss weighting: combine the losses of several tasks in one backward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from mtl.errors import TrainingError
from mtl.options import Checked
from mtl.weighting.gradients import TaskGradients


class WeightedLosses(NamedTuple):
    """The result of one backward pass.

    Args:
        weights: The weight used, by task.
        losses: The weighted loss by task, scalars without gradients.
    """

    weights: dict[str, float]
    losses: dict[str, Tensor]


class Weighting(Checked, nn.Module, ABC):
    """Base of weightings, which balance the losses of the tasks.

    Everything that changes during training is in the state dict, so that a run can be resumed.

    With gradient accumulation a step has several parts: `add` is called for each of them, then
    `finish`. The result equals one call of `backward` with the sums of the losses. A weighting that
    overrides `backward` overrides these two as well.

    With several processes each has some of the parts. The gradients of the model are summed over
    the processes before `finish`, which all of them call with the same losses. A weighting that
    keeps gradients of tasks between `add` and `finish` keeps them in `task_gradients`, which are
    summed too. Random numbers in `finish` must be equal in all processes.

    Args:
        tasks: All tasks with their weights from the run file.
    """

    min_tasks: ClassVar[int] = 1
    """Minimum number of tasks."""
    within_step: ClassVar[bool] = False
    """Whether `min_tasks` tasks must occur in the same step."""
    reads_gradients: ClassVar[bool] = False
    """Whether it needs parameters that several tasks train."""
    reads_change: ClassVar[bool] = False
    """Whether `observe` needs the losses after each step, which costs one more forward pass."""
    note: ClassVar[str] = ""
    """A remark for the user about the weighted losses; empty for none."""

    def __init__(self, tasks: Mapping[str, float]) -> None:
        super().__init__()
        self.tasks = dict(tasks)
        self.task_gradients: TaskGradients | None = None

    @classmethod
    def adds_parts(cls) -> bool:
        """Return whether a step may have several parts: `add` agrees with `backward`."""
        return cls.add is not Weighting.add or cls.backward is Weighting.backward

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """Return the current weight of each task's loss, for the log."""

    def learnt(self) -> dict[str, Tensor]:
        """Return learned quantities of interest by name: scalars, vectors or matrices."""
        return {}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the names of rows and columns by quantity, where they have names."""
        return {}

    def combine(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted loss of each task, a scalar; the default is weight times loss.

        Args:
            losses: The mean loss by task, scalars; only the tasks of this step.
        """
        weights = self.weights()
        return {task: weights[task] * loss for task, loss in losses.items()}

    def backward(
        self,
        losses: Mapping[str, Tensor],
        shared: Iterable[nn.Parameter],
        penalty: Tensor | None = None,
    ) -> WeightedLosses:
        """Accumulate the gradients of the weighted sum; return weights and weighted losses.

        Args:
            losses: The mean loss by task, scalars; only the tasks of this step, at least one.
            shared: The parameters that several tasks train, for methods that change gradients.
            penalty: Unweighted further terms of the loss, a scalar; None for none.

        Raises:
            ValueError: There are no losses, a task is unknown, or a loss is not a scalar.
        """
        check_losses(losses, self.tasks)
        weighted = self.combine(losses)
        accumulate(weighted, penalty)
        return self.result(weighted)

    def add(
        self,
        losses: Mapping[str, Tensor],
        shared: Sequence[nn.Parameter],
        penalty: Tensor | None = None,
    ) -> None:
        """Accumulate the gradients of one part of a step.

        The default is for weightings whose weighted loss has the derivative `weights` with respect
        to the loss.

        Args:
            losses: The share of the part in the mean loss, by task of the part, scalars.
            shared: The parameters that several tasks train, for methods that change gradients.
            penalty: The share of the part in further terms of the loss, a scalar; None for none.
        """
        weights = self.weights()
        accumulate({task: weights[task] * loss for task, loss in losses.items()}, penalty)

    def finish(
        self, losses: Mapping[str, Tensor], shared: Sequence[nn.Parameter]
    ) -> WeightedLosses:
        """Accumulate the gradients of the weighting's own parameters after the last part.

        Args:
            losses: The mean loss of the whole step by task, scalars without gradients.
            shared: The parameters that several tasks train, for methods that change gradients.
        """
        weighted = self.combine(losses)
        if any(loss.requires_grad for loss in weighted.values()):
            accumulate(weighted, None)
        return self.result(weighted)

    def result(self, weighted: Mapping[str, Tensor]) -> WeightedLosses:
        """Return the weighted losses with the current weights of the same tasks.

        Args:
            weighted: The weighted loss by task, scalars.
        """
        weights = self.weights()
        losses = {task: loss.detach() for task, loss in weighted.items()}
        return WeightedLosses({task: weights[task] for task in weighted}, losses)

    def observe(self, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
        """Learn from the change of the losses in a step, if `reads_change`.

        The default does nothing.

        Args:
            before: The mean loss by task, scalars without gradients.
            after: The mean loss of the same batches after the update of the model.
        """

    def end_epoch(self, losses: Mapping[str, float]) -> None:
        """Update the state at the end of an epoch; the default does nothing.

        Args:
            losses: The mean loss over the epoch by task; only the tasks that trained.
        """


def accumulate(weighted: Mapping[str, Tensor], penalty: Tensor | None) -> None:
    """Accumulate the gradients of the sum of losses and penalty in the parameters.

    Args:
        weighted: The weighted loss by task, scalars; at least one.
        penalty: A further term of the loss, a scalar; None for none.
    """
    total = sum(weighted.values(), start=next(iter(weighted.values())).new_zeros(()))
    if penalty is not None:
        total = total + penalty
    torch.autograd.backward(total)


def check_losses(losses: Mapping[str, Tensor], tasks: Container[str]) -> None:
    """Raise ValueError unless there are losses, all of them scalars of known tasks."""
    if not losses:
        raise ValueError("losses: expected at least one task, got none")
    for task, loss in losses.items():
        if task not in tasks:
            raise ValueError(f"losses: the weighting has no task {task!r}")
        if loss.dim():
            raise ValueError(
                f"losses: expected a scalar for task {task!r}, got shape {list(loss.shape)}; take "
                "the mean"
            )


def values_of(scalars: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the values of scalars by name, with one transfer from their device."""
    if not scalars:
        return {}
    return dict(zip(scalars, torch.stack([*scalars.values()]).tolist(), strict=True))


def check_not_negative(weighting: str, losses: Mapping[str, float]) -> None:
    """Check the losses for a method that assumes likelihoods.

    Raises:
        TrainingError: A loss is below zero; the message names the task.
    """
    for task, loss in losses.items():
        if loss < 0:
            raise TrainingError(
                f"weighting {weighting!r}: expected losses of at least 0, got {loss:.4g} for task "
                f"{task!r}; fix the loss of its head, or use the weighting 'static'"
            )
