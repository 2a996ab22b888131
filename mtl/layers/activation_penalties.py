"""Penalties on what a trunk puts out. Letters: B texts, T tokens, H width."""

from __future__ import annotations

import torch
from torch import Tensor


def activation_penalty(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return Σ_t mean(h_t²) of each text, `[B]`: activation penalty, AR (Merity et al. 2017).

    Over the number of tokens and times a weight α, 2 in the paper; taken of the last layer after
    its dropout.

    Args:
        hidden: `[B, T, H]`.
        mask: `[B, T]` bool, True on real tokens.
    """
    return _squares(hidden, mask)


def temporal_activation_penalty(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return Σ_t mean((h_t − h_t+1)²) of each text, `[B]`: temporal AR, TAR (Merity et al. 2017).

    Over the number of tokens and times a weight β, 1 in the paper; taken of the last layer before
    its dropout. Zero for a text of one token.

    Args:
        hidden: `[B, T, H]`.
        mask: `[B, T]` bool, True on real tokens.
    """
    return _squares(hidden[:, :-1] - hidden[:, 1:], mask[:, :-1] & mask[:, 1:])


def _squares(x: Tensor, mask: Tensor) -> Tensor:
    real = torch.where(mask.unsqueeze(2), x, 0)  # not a product: padding may hold anything
    return real.square().mean(2).sum(1)
