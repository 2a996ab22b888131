"""Batch normalisation of padded sequences. Letters: B sentences, C channels, T tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaskedBatchNorm(nn.Module):
    """y = w (x − μ) / √(σ² + ε) + b, with moments of the real tokens (Ioffe & Szegedy 2015).

    In training, μ and σ² are moments of the batch, so outputs depend on the other sentences of the
    batch. Evaluation uses running averages. In training, a batch with fewer than two real
    tokens has no variance: it is normalised by the running averages, and does not change them.

    Args:
        channels: Number C of channels.
        momentum: The share of a batch in the running averages; None: they are the means over all
            batches since `reset_running_stats`.
        eps: ε.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches: Tensor
    """The number of batches in the running averages; not saved, as only means need it."""

    def __init__(self, channels: int, *, momentum: float | None = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches", torch.zeros(()), persistent=False)

    def reset_running_stats(self) -> None:
        """Forget all batches; the method of torch has the same name."""
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.num_batches.zero_()

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """Return `[B, C, T]`, anything on padding.

        Args:
            x: `[B, C, T]`, finite also on padding.
            real: `[B, 1, T]` bool, True on real tokens.
        """
        mean, var = (
            self._moments(x, real) if self.training else (self.running_mean, self.running_var)
        )
        scale = self.weight * (var + self.eps).rsqrt()
        return x * scale.unsqueeze(1) + (self.bias - mean * scale).unsqueeze(1)

    def _moments(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the variance of the batch, `[C]`, and update the averages."""
        number = real.sum()
        enough = number > 1
        mean = (x * real).sum((0, 2)) / number.clamp(min=1)
        squares = ((x - mean.unsqueeze(1)) * real).square().sum((0, 2))
        var = squares / number.clamp(min=1)
        with torch.no_grad():
            self.num_batches += enough
            of_each = 1 / self.num_batches.clamp(min=1) if self.momentum is None else self.momentum
            share = enough * of_each
            self.running_mean.lerp_(mean.detach(), share)
            # The average is of the unbiased variance, as in torch.
            self.running_var.lerp_(squares.detach() / (number - 1).clamp(min=1), share)
        return torch.where(enough, mean, self.running_mean), torch.where(
            enough, var, self.running_var
        )

    def extra_repr(self) -> str:
        """Return the options shown by `print(module)`."""
        return f"{len(self.weight)}, momentum={self.momentum}, eps={self.eps}"
