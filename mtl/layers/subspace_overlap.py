"""Overlap of the outputs of two encoders. Letters: B sentences, T tokens, H and P widths."""

from __future__ import annotations

import torch
from torch import Tensor

from mtl.layers.binary_scale import binary_scale


def subspace_overlap(shared: Tensor, private: Tensor, mask: Tensor) -> Tensor:
    """Return ‖SᵀP‖²_F / (‖S‖²_F · ‖P‖²_F) over the real tokens, a scalar from 0 to 1.

    The rows of S and P are the tokens of a batch. As a penalty, it makes a shared and a private
    encoder learn different features (Bousmalis et al. 2016; Liu et al. 2017: ‖SᵀP‖²_F). Dividing by
    the norms makes it independent of the number of tokens and of the scale of the hidden states,
    so that small hidden states do not lower the penalty.

    Args:
        shared: `[B, T, H]`.
        private: `[B, T, P]`.
        mask: `[B, T]` bool, True on real tokens.
    """
    real = mask.unsqueeze(2)
    # Not a product: padding may hold NaN.
    s, p = (torch.where(real, x, 0).flatten(0, 1) for x in (shared, private))
    s, p = s / binary_scale(s), p / binary_scale(p)  # their fourth powers follow
    sizes = s.square().sum() * p.square().sum()
    overlap: Tensor = (s.T @ p).square().sum() / torch.where(sizes > 0, sizes, 1)
    return overlap
