"""Weights by how fast each loss falls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mtl.options import PositiveFloat
from mtl.weighting.base import Weighting, refuse_negative

_MOST = 2.0
"""The largest rate: a loss that grew has its task count as much more as one that fell to 0 has its
task count less. Without it, any growth of a loss that was almost 0 would starve the other tasks."""


class DWA(Weighting):
    """Dynamic weight average: tasks whose losses fall slowest count most (Liu et al. 2019).

    The weight of the run file times K · softmax_t(r_t / τ) over the K tasks, where r_t is the mean
    loss of the last epoch by that of the one before, at most 2, and 1 until there are two. It asks
    for no gradients, so it costs nothing. A task that rested keeps the losses of its own last
    epochs.

    Args:
        tasks: All tasks, and the weight that the run file gives each.
        temperature: τ: the higher, the more alike the weights.
    """

    min_tasks = 2
    last: Tensor
    before: Tensor

    def __init__(self, tasks: Mapping[str, float], *, temperature: PositiveFloat = 2.0) -> None:
        super().__init__(tasks)
        self.temperature = temperature
        self.register_buffer("last", torch.full([len(tasks)], torch.nan))
        self.register_buffer("before", torch.full([len(tasks)], torch.nan))

    def weights(self) -> dict[str, float]:
        """Return K · softmax(r / τ) times the weights of the run file."""
        rates = (self.last / self.before).nan_to_num(nan=1.0).clamp(max=_MOST)
        factors = len(self.tasks) * torch.softmax(rates / self.temperature, 0)
        given = self.tasks.items()
        return {task: weight * f for (task, weight), f in zip(given, factors.tolist(), strict=True)}

    def learnt(self) -> dict[str, Tensor]:
        """Return the weights."""
        return {"weights": torch.tensor([*self.weights().values()])}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the tasks, which the weights are of."""
        return {"weights": (list(self.tasks),)}

    def end_epoch(self, losses: Mapping[str, float]) -> None:
        """Keep the mean losses of the epoch.

        Raises:
            TrainingError: A loss is negative: quotients of such say nothing.
        """
        refuse_negative("dwa", losses)
        for index, task in enumerate(self.tasks):
            if task in losses:
                self.before[index] = self.last[index]
                self.last[index] = losses[task]
