"""Random weights: the control that a learned weighting has to beat."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.weighting.base import WeightedLosses, Weighting


class RandomWeights(Weighting):
    """New random weights in each step: K · softmax(z), z ~ N(0, 1) per task (Lin et al. 2022).

    The weights are multiplied by the weights of the run file. Their mean is the same for all tasks,
    so the method prefers no task. It is a control for other weightings: a learned weighting that is
    not better than random weights has learned nothing useful.

    Args:
        tasks: All tasks with their weights from the run file.
    """

    min_tasks = 2
    draw: Tensor
    """Seed of the weights of this step."""

    def __init__(self, tasks: Mapping[str, float]) -> None:
        super().__init__(tasks)
        # The weights follow from a number instead of the random state, so that they are the same in
        # all parts of a step and in all processes, whose dropout differs.
        self.register_buffer("draw", torch.randint(2**53, ()))

    def weights(self) -> dict[str, float]:
        """Return the weights of this step."""
        random = torch.Generator().manual_seed(int(self.draw))
        factors = len(self.tasks) * torch.randn(len(self.tasks), generator=random).softmax(0)
        items = zip(self.tasks.items(), factors.tolist(), strict=True)
        return {task: weight * factor for (task, weight), factor in items}

    def result(self, weighted: Mapping[str, Tensor]) -> WeightedLosses:
        """Return the weighted losses, and draw the weights of the next step."""
        found = super().result(weighted)
        self.draw += 1
        return found
