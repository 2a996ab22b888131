"""Gradient reversal for adversarial training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class GradientReversal(nn.Module):
    """Identity in the forward pass; multiplies the gradient by −λ (Ganin and Lempitsky 2015).

    The layers before it learn to prevent the task of the layers after it. λ can grow during
    training, so that both first learn useful features: λ_p = λ (2 / (1 + e^(−10 p)) − 1), where p
    grows from 0 to 1 over the first `ramp` passes.

    Args:
        strength: λ, at least 0; with 0 no gradient passes.
        ramp: The number of passes over which λ grows; None keeps λ constant.

    Raises:
        ValueError: The strength is negative, or the ramp is below 1.
    """

    passes: Tensor

    def __init__(self, strength: float = 1.0, ramp: int | None = None) -> None:
        super().__init__()
        if strength < 0:
            raise ValueError(f"strength: expected at least 0, got {strength}")
        if ramp is not None and ramp < 1:
            raise ValueError(f"ramp: expected at least 1, or None, got {ramp}")
        self.strength = strength
        self.ramp = ramp
        # A buffer, so that resumed training continues with the same λ.
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))

    @property
    def factor(self) -> Tensor:
        """λ_p of the next pass, a scalar."""
        if self.ramp is None:
            return torch.full_like(self.passes, self.strength, dtype=torch.float)
        progress = (self.passes / self.ramp).clamp(max=1)
        return self.strength * torch.tanh(5 * progress)  # 2 / (1 + e^(−2x)) − 1 = tanh x

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` unchanged; a pass of training with gradients is counted."""
        factor = self.factor
        if self.training and torch.is_grad_enabled():
            self.passes += 1
        same: Tensor = _Reverse.apply(x, factor)
        return same

    def extra_repr(self) -> str:
        """Return the options shown by `print(module)`."""
        return f"strength={self.strength}, ramp={self.ramp}"


def ramp_notes(ramp: int | None, batches: int) -> Iterator[str]:
    """Yield a note on a ramp that is longer than the run.

    Args:
        ramp: The number of passes over which λ grows, if it does.
        batches: The number of passes of the run.
    """
    if ramp is not None and ramp > batches:
        reversal = GradientReversal(ramp=ramp)
        reversal.passes += batches
        yield (
            f"the ramp of {ramp:,} batches is longer than the run of {batches:,}; λ reaches only "
            f"{reversal.factor.item():.0%} of its strength"
        )


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return x.view_as(x)  # autograd needs a new tensor, even for the identity

    @staticmethod
    def backward(ctx: Any, *by_output: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return -factor.to(by_output[0].dtype) * by_output[0], None
