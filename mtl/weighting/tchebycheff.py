"""A smooth maximum of the losses of a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from torch import Tensor

from mtl.options import Bounds
from mtl.weighting.base import Weighting, check_not_negative, values_of


class Tchebycheff(Weighting):
    """L = K · μ · log Σ_t exp(w_t · R_t / μ): smooth Tchebycheff scalarisation (Lin et al. 2024).

    R_t is the loss of a task divided by its first loss in the run. The preferences w_t are the
    weights of the run file, and K is the number of tasks of the step. The gradient is
    K · Σ_t p_t · w_t · ∇R_t, where p is a softmax of w_t · R_t / μ. The task with the largest
    w_t · R_t therefore gets most of the step. If μ is small enough, every Pareto optimal model has
    the smallest L for some preferences; a weighted sum finds only some of these models.

    In a step with one task, its loss is only divided by its first loss and multiplied by w_t, so
    use the mixing `joint` for tasks of several corpora.

    Args:
        tasks: All tasks with their weights from the run file.
        smoothness: μ; small values follow only the worst task, large values tend to constant
            weights.
    """

    min_tasks = 2
    within_step = True
    first: Tensor

    def __init__(
        self, tasks: Mapping[str, float], *, smoothness: Annotated[float, Bounds(ge=1e-3)] = 0.1
    ) -> None:
        super().__init__(tasks)
        self.smoothness = smoothness
        self.factors = dict(tasks)
        # NaN marks a task that has not occurred yet.
        self.register_buffer("first", torch.full([len(tasks)], torch.nan))

    @classmethod
    def adds_parts(cls) -> bool:
        """Return False: the weights depend on the losses of the whole step."""
        return False

    def weights(self) -> dict[str, float]:
        """Return the factors of the gradients in the last step."""
        return dict(self.factors)

    def combine(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each loss times the derivative of L by it, which has no gradient.

        Raises:
            TrainingError: A loss is negative, so that ratios of losses have no meaning.
        """
        check_not_negative("tchebycheff", values_of(losses))
        names = list(self.tasks)
        rows = torch.tensor([names.index(task) for task in losses], device=self.first.device)
        own = torch.stack([loss.detach() for loss in losses.values()]).to(self.first)
        self.first[rows] = torch.where(self.first[rows].isnan(), own, self.first[rows])
        # A task that is solved at its first step has a small finite weight.
        slopes = own.new_tensor([self.tasks[t] for t in losses]) / self.first[rows].clamp(min=1e-8)
        shares = torch.softmax(slopes * own / self.smoothness, 0)
        factors = dict(zip(losses, len(losses) * shares * slopes, strict=True))
        self.factors.update(values_of(factors))
        return {task: factors[task] * loss for task, loss in losses.items()}
