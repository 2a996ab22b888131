"""Weights that balance gradients. Letters: K tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.layers.binary_scale import binary_scale
from mtl.options import NonNegativeFloat, PositiveFloat
from mtl.weighting.base import (
    WeightedLosses,
    Weighting,
    check_losses,
    check_not_negative,
    values_of,
)
from mtl.weighting.gradients import TaskGradients

_TINY = 1e-12
"""Smaller losses count as this one, so that their logarithm is finite."""


class GradNorm(Weighting):
    """Balance the gradient norms of the tasks; slow tasks get larger ones (Chen et al. 2018).

    Each step adapts the weights w_t to lower Σ_t |G_t − Ḡ · r_t|; the weights always sum to K. G_t
    is the norm of the gradient of w_t · L_t with respect to all shared parameters, and Ḡ the mean
    over tasks. r_t is (loss / first loss of the task) to the power of α, divided by the mean over
    tasks. The paper divides by the mean before it takes the power. That is equal for α = 0 and 1;
    for other values no weights reach all targets, and for α > 1 some weights go to zero.

    If a step lacks some tasks, because they come from several corpora, their last norms and losses
    are used. Weights stay at 1 until every task has occurred. The descent is in log w_t
    on the sum divided by Ḡ, so weights stay positive, and the scale of the losses does not matter.
    The balanced weights are multiplied by the weights in the run file. It costs one backward pass
    through the shared parameters per task and step.

    Args:
        tasks: All tasks with their weights from the run file.
        alpha: Exponent α; higher values favour slow tasks more, 0 makes all norms equal.
        lr: Change of log w_t in a step if G_t equals the mean.
    """

    min_tasks = 2
    reads_gradients = True
    log_weights: Tensor
    norms: Tensor
    last: Tensor
    first: Tensor

    def __init__(
        self,
        tasks: Mapping[str, float],
        *,
        alpha: NonNegativeFloat = 1.5,
        lr: PositiveFloat = 0.025,
    ) -> None:
        super().__init__(tasks)
        self.alpha = alpha
        self.lr = lr
        self.task_gradients: TaskGradients = TaskGradients()
        self.register_buffer("log_weights", torch.zeros(len(tasks)))
        # NaN marks a task that has not occurred yet.
        for name in ("norms", "last", "first"):
            self.register_buffer(name, torch.full([len(tasks)], torch.nan))

    def weights(self) -> dict[str, float]:
        """Return w_t times the weights of the run file."""
        balanced = self.log_weights.exp().tolist()
        items = zip(self.tasks.items(), balanced, strict=True)
        return {task: weight * factor for (task, weight), factor in items}

    def learnt(self) -> dict[str, Tensor]:
        """Return the weights."""
        return {"weights": torch.tensor([*self.weights().values()])}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the names of the entries: the tasks."""
        return {"weights": (list(self.tasks),)}

    def backward(
        self,
        losses: Mapping[str, Tensor],
        shared: Iterable[nn.Parameter],
        penalty: Tensor | None = None,
    ) -> WeightedLosses:
        """Accumulate gradients, then update the weights; see `Weighting.backward`.

        Raises:
            TrainingError: A loss is negative, so that ratios of losses have no meaning.
        """
        check_losses(losses, self.tasks)
        shared = list(shared)
        self.add(losses, shared, penalty)
        return self.finish(losses, shared)

    def add(
        self,
        losses: Mapping[str, Tensor],
        shared: Sequence[nn.Parameter],
        penalty: Tensor | None = None,
    ) -> None:
        """Accumulate the gradients of a part; see `Weighting.add`."""
        if shared:  # before the backward pass, which frees the graph
            self.task_gradients.add(losses, shared)
        super().add(losses, shared, penalty)

    def finish(
        self, losses: Mapping[str, Tensor], shared: Sequence[nn.Parameter]
    ) -> WeightedLosses:
        """Update the weights; see `Weighting.finish`.

        Raises:
            TrainingError: A loss is negative, so that ratios of losses have no meaning.
        """
        check_not_negative("gradnorm", values_of(losses))
        result = self.result(self.combine(losses))
        if shared:
            gradients = self.task_gradients.take(losses)
            scales = binary_scale(gradients, dim=1)  # squares of small gradients would be zero
            gradients /= scales
            self._record(losses, gradients.norm(dim=1) * scales.squeeze(1))
            if not self.norms.isnan().any():
                self._balance()
        return result

    @torch.no_grad()
    def _record(self, losses: Mapping[str, Tensor], norms: Tensor) -> None:
        """Store the norms and losses of the tasks of this step."""
        names = list(self.tasks)
        rows = torch.tensor([names.index(task) for task in losses], device=self.norms.device)
        self.norms[rows] = norms.to(self.norms)
        self.last[rows] = torch.stack([*losses.values()]).to(self.last)
        self.first = torch.where(self.first.isnan(), self.last, self.first)

    def _balance(self) -> None:
        """Update the weights once (Chen et al. 2018, Algorithm 1)."""
        # Powers by way of logarithms, so that no α leaves the range of float32.
        last, first = (losses.clamp(min=_TINY).log() for losses in (self.last, self.first))
        rates = len(last) * torch.softmax(self.alpha * (last - first), 0)
        norms = self.log_weights.exp() * self.norms
        mean = norms.mean().clamp(min=torch.finfo(norms.dtype).tiny)
        # The gradient of |G_t − target| by log w_t is sign · G_t; targets count as constants.
        sign = torch.sign(norms - mean * rates)
        moved = self.log_weights - self.lr * sign * norms / mean
        # Renormalise, so that the weights sum to K.
        self.log_weights = torch.log_softmax(moved, 0) + math.log(len(moved))
