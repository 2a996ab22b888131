"""Penalties on the outputs of a trunk. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

import torch
from torch import Tensor


def activation_penalty(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return Σ_t mean(h_t²) of each sentence, `[B]`: activation penalty, AR (Merity et al. 2017).

    The paper divides it by the number of tokens and multiplies it by α = 2. It applies it to the
    last layer after its dropout.

    Args:
        hidden: `[B, T, H]`.
        mask: `[B, T]` bool, True on real tokens.
    """
    return _squares(hidden, mask)


def temporal_activation_penalty(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return Σ_t mean((h_t − h_t+1)²) of each sentence, `[B]`: TAR (Merity et al. 2017).

    The paper divides it by the number of tokens and multiplies it by β = 1. It applies it to the
    last layer before its dropout. It is zero for a sentence of one token.

    Args:
        hidden: `[B, T, H]`.
        mask: `[B, T]` bool, True on real tokens.
    """
    return _squares(hidden[:, :-1] - hidden[:, 1:], mask[:, :-1] & mask[:, 1:])


def _squares(x: Tensor, mask: Tensor) -> Tensor:
    real = torch.where(mask.unsqueeze(2), x, 0)  # not a product: padding may hold NaN
    return real.square().mean(2).sum(1)
