"""Penalties on what a trunk puts out. Letters: B texts, T tokens, H width."""

from __future__ import annotations

import torch
from torch import Tensor


def activation_penalty(hidden: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return mean(h²), a scalar: activation regularisation, AR (Merity et al. 2017).

    Times a weight α, 2 in the paper, and taken of the last layer after its dropout.

    Args:
        hidden: `[B, T, H]`.
        mask: `[B, T]` bool, True on real tokens; None: all are real.
    """
    return _mean_square(hidden, mask)


def temporal_activation_penalty(hidden: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return mean((h_t − h_t+1)²), a scalar: temporal AR, TAR (Merity et al. 2017).

    Times a weight β, 1 in the paper, and taken of the last layer before its dropout. Zero where no
    text has two tokens.

    Args:
        hidden: `[B, T, H]`.
        mask: `[B, T]` bool, True on real tokens; None: all are real.
    """
    pairs = None if mask is None else mask[:, :-1] & mask[:, 1:]
    return _mean_square(hidden[:, :-1] - hidden[:, 1:], pairs)


def _mean_square(x: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return x.square().sum() / max(x.numel(), 1)
    real = torch.where(mask.unsqueeze(2), x, 0)  # not a product: padding may hold anything
    return real.square().sum() / (mask.sum() * x.shape[2]).clamp(min=1)
