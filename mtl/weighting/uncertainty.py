"""Weights by the uncertainty of each task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.options import PositiveFloat
from mtl.weighting.base import Weighting, refuse_negative


class Uncertainty(Weighting):
    """L = Σ_t w_t · (L_t · e^(−s_t) + s_t / 2) with s_t = log σ_t² learned (Kendall et al. 2017).

    The form for classification, L/σ² + log σ. For a loss that stays as it is, σ² = 2L is best, so
    that every L/σ² tends to 1/2, however large the losses are. The optimiser of the run learns s_t;
    a step without the task leaves it as it is.

    Args:
        tasks: All tasks, and the weight w_t that the run file gives each.
        initial: s_t at the start, nearer to 0 than the bound; 0 is the weight of the run file.
        bound: |s_t| stays below this, so that no weight leaves e^±bound.
    """

    note = (
        "weighting 'uncertainty' adds log σ to the weighted losses, so that they and the total may "
        "be negative"
    )

    def __init__(
        self, tasks: Mapping[str, float], *, initial: float = 0.0, bound: PositiveFloat = 5.0
    ) -> None:
        super().__init__(tasks)
        if not abs(initial) < bound:
            raise OptionError(
                "initial", f"expected less than the bound ({bound:g}), got {initial:g}"
            )
        self.bound = bound
        # One parameter a task: a part of a longer one would have gradient zero where the task is
        # absent, and moments of the optimiser would move it all the same.
        start = bound * math.atanh(initial / bound)
        self.free = nn.ParameterList(nn.Parameter(torch.tensor(start)) for _ in tasks)

    def log_variances(self) -> dict[str, Tensor]:
        """Return s_t of each task, a scalar: bounded without an edge where gradients end."""
        free = zip(self.tasks, self.free, strict=True)
        return {task: self.bound * torch.tanh(own / self.bound) for task, own in free}

    def weights(self) -> dict[str, float]:
        """Return w_t / σ_t²."""
        found = self.log_variances()
        return {task: weight * math.exp(-found[task].item()) for task, weight in self.tasks.items()}

    def learnt(self) -> dict[str, Tensor]:
        """Return the variances σ_t²."""
        return {"variances": torch.stack([*self.log_variances().values()]).exp()}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the tasks, which the variances are of."""
        return {"variances": (list(self.tasks),)}

    def combine(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return w_t · (L_t · e^(−s_t) + s_t / 2) of each task given.

        Raises:
            TrainingError: A loss is negative: σ would shrink without end.
        """
        refuse_negative("uncertainty", {task: loss.item() for task, loss in losses.items()})
        found = self.log_variances()
        return {
            task: self.tasks[task] * (loss * torch.exp(-found[task]) + found[task] / 2)
            for task, loss in losses.items()
        }
