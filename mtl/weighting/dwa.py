"""Weights by the rate at which each loss falls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from mtl.options import Bounds, RunContext, count
from mtl.weighting.base import Weighting, check_not_negative

_MAX_RATE = 2.0
"""Largest rate. It is as far from 1, a constant loss, as 0 is, a loss that fell to zero. Without
it, any growth of a loss close to 0 would suppress all other tasks."""


class DWA(Weighting):
    """Dynamic weight average: tasks whose losses fall slowly get more weight (Liu et al. 2019).

    The weight of a task is its weight in the run file times K · softmax_t(r_t / τ) over the K
    tasks. r_t is the mean loss of the last epoch divided by the mean loss of the epoch before. It
    is at most 2, and 1 during the first two epochs. The method needs no gradients, so it adds no
    cost. A task that has stopped keeps the losses of its own last epochs.

    Args:
        tasks: All tasks with their weights from the run file.
        temperature: Temperature τ; higher values make the weights more equal.
    """

    min_tasks = 2
    last: Tensor
    before: Tensor

    def __init__(
        self, tasks: Mapping[str, float], *, temperature: Annotated[float, Bounds(ge=1e-6)] = 2.0
    ) -> None:
        super().__init__(tasks)
        self.temperature = temperature
        self.register_buffer("last", torch.full([len(tasks)], torch.nan))
        self.register_buffer("before", torch.full([len(tasks)], torch.nan))

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note if the run ends before the first weights are computed."""
        if context.epochs <= 2:
            yield (
                "weights follow the losses of two finished epochs, and the run has "
                f"{count(context.epochs, 'epoch')}, so they stay as in the run file"
            )

    def weights(self) -> dict[str, float]:
        """Return K · softmax(r / τ) times the weights of the run file."""
        # NaN marks a missing epoch, and 0 / 0 gives NaN as well: both count as a rate of 1.
        rates = (self.last / self.before).nan_to_num(nan=1.0).clamp(max=_MAX_RATE)
        factors = len(self.tasks) * torch.softmax(rates / self.temperature, 0)
        items = zip(self.tasks.items(), factors.tolist(), strict=True)
        return {task: weight * factor for (task, weight), factor in items}

    def learnt(self) -> dict[str, Tensor]:
        """Return the weights."""
        return {"weights": torch.tensor([*self.weights().values()])}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the names of the entries: the tasks."""
        return {"weights": (list(self.tasks),)}

    def end_epoch(self, losses: Mapping[str, float]) -> None:
        """Store the mean losses of the epoch.

        Raises:
            TrainingError: A loss is negative, so that ratios of losses have no meaning.
        """
        check_not_negative("dwa", losses)
        for index, task in enumerate(self.tasks):
            if task in losses:
                self.before[index] = self.last[index]
                self.last[index] = losses[task]
