"""The geometric mean of the losses of a step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.weighting.base import Weighting, check_not_negative, values_of


class GeometricLoss(Weighting):
    """L = Π_t L_t^(w_t / W), the geometric mean of the losses of a step (Chennupati et al. 2019).

    w_t are the weights in the run file and W is their sum over the tasks of the step. The gradient
    is Σ_t (w_t / W) · (L / L_t) · ∇L_t. The relative changes of all losses thus count the same,
    regardless of their scales. A loss of zero makes all gradients zero, therefore each loss is at
    least 1e-8 here. A step with one task is not changed, so use the mixing `joint` for tasks of
    several corpora.

    Args:
        tasks: All tasks with their weights from the run file.
    """

    min_tasks = 2
    within_step = True

    def __init__(self, tasks: Mapping[str, float]) -> None:
        super().__init__(tasks)
        self.factors = dict(tasks)

    @classmethod
    def adds_parts(cls) -> bool:
        """Return False: the weights depend on the losses of the whole step."""
        return False

    def weights(self) -> dict[str, float]:
        """Return the factors of the gradients in the last step, (w_t / W) · (L / L_t)."""
        return dict(self.factors)

    def combine(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return (w_t / W) · (L / L_t) · L_t by task, where L / L_t has no gradient.

        The sum is L, and so is the sum of the gradients.

        Raises:
            TrainingError: A loss is negative.
        """
        check_not_negative("gls", values_of(losses))
        total = sum(self.tasks[task] for task in losses) or 1.0
        shares = {task: self.tasks[task] / total for task in losses}
        logs = torch.stack([loss.detach().clamp(min=1e-8).log() for loss in losses.values()])
        mean = (logs * logs.new_tensor([*shares.values()])).sum()
        ratios = dict(zip(losses, (mean - logs).exp(), strict=True))
        self.factors.update(values_of({task: shares[task] * ratios[task] for task in losses}))
        return {task: shares[task] * ratios[task] * loss for task, loss in losses.items()}
