"""The update of the weights at the end of a step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm

from mtl.training.averaging import Average
from mtl.training.gradients import GradientNoise
from mtl.training.precision import LossScale


class Update:
    """Updates weights from their gradients: clipping, noise, the optimiser, and the average.

    Args:
        parameters: The parameters whose gradients are clipped together.
        optimizer: The optimiser. Parameters of a group with the key `since` train from that epoch
            on.
        clip_norm: Largest global norm of the gradients; None for no clipping.
        clip_value: Largest absolute value of a gradient, after `clip_norm`; None for no limit.
        noise: Noise on the gradients, after clipping; None for none.
        average: Average of the weights; None for none.
        loss_scale: The scale of float16 losses; None for other types.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        *,
        clip_norm: float | None,
        clip_value: float | None,
        noise: GradientNoise | None,
        average: Average | None,
        loss_scale: LossScale | None,
    ) -> None:
        self.parameters = list(parameters)
        self.optimizer = optimizer
        self.clip_norm = math.inf if clip_norm is None else clip_norm
        self.clip_value = clip_value
        self.noise = noise
        self.average = average
        self.loss_scale = loss_scale
        self.base_rates = [group["lr"] for group in optimizer.param_groups]
        """The learning rate of each group, which a schedule multiplies."""

    def unfreeze(self, epoch: int) -> None:
        """Freeze the parameters of groups that train from a later epoch on; unfreeze the others."""
        for group in self.optimizer.param_groups:
            if "since" in group:
                for parameter in group["params"]:
                    parameter.requires_grad_(epoch >= group["since"])

    def begin(self, factor: float) -> None:
        """Remove the gradients of the step before, and set the learning rates of the next one.

        Args:
            factor: Factor of all learning rates.
        """
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor
        # None rather than zero: the optimiser skips parameters without a gradient, so the heads of
        # absent tasks are not moved by their moments.
        self.optimizer.zero_grad(set_to_none=True)

    def norm(self) -> Tensor:
        """Return the global norm of the gradients, a scalar; remove the scale of the losses."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if self.loss_scale:
            self.loss_scale.remove(gradients)
        return get_total_norm(gradients)

    def apply(self, norm: float, step: int) -> bool:
        """Update the weights, unless the gradients are not finite; return whether they are.

        Args:
            norm: The result of `norm`.
            step: The step, from 0.
        """
        finite = math.isfinite(norm)
        if self.loss_scale:
            self.loss_scale.update(finite=finite)
        if not finite:
            return False
        # Most steps need no clipping, and a product with 1 would take as long as any other.
        if norm + 1e-6 > self.clip_norm:
            clip_grads_with_norm_(self.parameters, self.clip_norm, torch.tensor(norm))
        if self.clip_value is not None:
            clip_grad_value_(self.parameters, self.clip_value)
        if self.noise:  # last, as clipping would change its distribution
            self.noise.add(self.parameters, step)
        self.optimizer.step()
        if self.average:
            self.average.update()
        return True

    @property
    def may_skip(self) -> bool:
        """Whether a step without finite gradients is skipped: another scale may help."""
        return self.loss_scale is not None and not self.loss_scale.exhausted
