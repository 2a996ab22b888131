"""Weights that balance gradients. Letters: K tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.options import NonNegativeFloat, PositiveFloat
from mtl.weighting.base import Weighting, refuse_negative
from mtl.weighting.gradients import task_gradients

_TINY = 1e-12
"""Losses and norms are taken for at least this where something is divided by them."""


class GradNorm(Weighting):
    """Gradient norms go to their mean, further where a loss falls slowly (Chen et al. 2018).

    Each step lowers Σ_t |G_t − Ḡ · r_t| by the weights w_t, which always add up to K. G_t is the
    norm of the gradient of w_t · L_t by all shared parameters, Ḡ the mean over the tasks; r_t is
    the α-th power of the loss by the first one of the task, divided by the mean of these powers.
    The paper divides by the mean before it takes the power: the same for α = 0 and 1, but else no
    weights meet all targets, and with α above 1 some go to zero.

    A step that lacks some of the tasks, as when they come from several corpora, takes the norms and
    losses that they had last; until every task has been seen, weights stay at 1. Steps descend in
    log w_t on the sum divided by Ḡ, so that weights stay positive and the scale of the losses does
    not matter. The weight of the run file multiplies what was balanced. It costs a pass backwards
    through the shared part for each task of a step.

    Args:
        tasks: All tasks, and the weight that the run file gives each.
        alpha: α: how much more slow tasks get; 0: all norms alike.
        lr: How far a step moves log w_t where G_t is the mean.
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
        self.register_buffer("log_weights", torch.zeros(len(tasks)))
        for name in ("norms", "last", "first"):
            self.register_buffer(name, torch.full([len(tasks)], torch.nan))

    def weights(self) -> dict[str, float]:
        """Return w_t times the weights of the run file."""
        balanced = self.log_weights.exp().tolist()
        given = self.tasks.items()
        return {task: weight * own for (task, weight), own in zip(given, balanced, strict=True)}

    def learnt(self) -> dict[str, Tensor]:
        """Return the weights."""
        return {"weights": torch.tensor([*self.weights().values()])}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the tasks, which the weights are of."""
        return {"weights": (list(self.tasks),)}

    def backward(
        self,
        losses: Mapping[str, Tensor],
        shared: Sequence[nn.Parameter],
        penalty: Tensor | None = None,
    ) -> dict[str, float]:
        """Accumulate gradients, then move the weights; see `Weighting.backward`.

        Raises:
            TrainingError: A loss is negative: quotients of such say nothing.
        """
        refuse_negative("gradnorm", {task: loss.item() for task, loss in losses.items()})
        if not shared:
            return super().backward(losses, shared, penalty)
        norms = task_gradients(losses, shared).norm(dim=1)
        used = super().backward(losses, shared, penalty)
        self._see(losses, norms)
        if not self.norms.isnan().any():
            self._balance()
        return used

    @torch.no_grad()
    def _see(self, losses: Mapping[str, Tensor], norms: Tensor) -> None:
        names = list(self.tasks)
        seen = torch.tensor([names.index(task) for task in losses], device=self.norms.device)
        self.norms[seen] = norms.to(self.norms)
        self.last[seen] = torch.stack([*losses.values()]).to(self.last)
        self.first = torch.where(self.first.isnan(), self.last, self.first)

    def _balance(self) -> None:
        """Move the weights once (Chen et al. 2018, Algorithm 1)."""
        powers = (self.last / self.first.clamp(min=_TINY)) ** self.alpha
        rates = powers / powers.mean().clamp(min=_TINY)
        norms = self.log_weights.exp() * self.norms
        mean = norms.mean().clamp(min=_TINY)
        off = torch.sign(norms - mean * rates)  # targets count as constants
        moved = self.log_weights - self.lr * off * norms / mean
        self.log_weights = torch.log_softmax(moved, 0) + math.log(len(moved))
