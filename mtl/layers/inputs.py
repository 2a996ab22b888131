"""Checks of the inputs of layers and heads that are used alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def check_width(hidden: Tensor, width: int) -> None:
    """Raise ValueError unless the hidden states are `[B, T, width]`."""
    if hidden.dim() != 3 or hidden.shape[2] != width:
        raise ValueError(f"hidden: expected [B, T, {width}], got {list(hidden.shape)}")


def check_probability(name: str, value: float) -> None:
    """Raise ValueError unless a probability of dropping something is in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"{name}: expected a probability in [0, 1), got {value}")


def check_mask(mask: Tensor, shape: Sequence[int]) -> None:
    """Raise ValueError unless the mask is bool and has the shape `[B, T]`."""
    if mask.dtype != torch.bool or mask.shape != tuple(shape):
        raise ValueError(f"mask: expected bool {list(shape)}, got {mask.dtype} {list(mask.shape)}")


def check_labels(name: str, labels: Tensor, count: int, mask: Tensor | None = None) -> None:
    """Raise ValueError unless all label ids are in [0, count).

    Args:
        name: The name of the argument, for the message.
        labels: int64; other types are not label ids and are not checked.
        count: The number of labels.
        mask: bool, of the shape of `labels`; where it is False, ids are ignored.
    """
    # A graph that is compiled cannot branch on values, and on a GPU each look waits for it.
    if torch.compiler.is_compiling() or labels.device.type != "cpu":
        return
    if labels.dtype != torch.int64 or not labels.numel():
        return
    real = labels if mask is None else labels.masked_fill(~mask, 0)
    low, high = (int(end) for end in real.aminmax())
    if low < 0 or high >= count:
        raise ValueError(
            f"{name}: expected label ids in [0, {count}), got {low} to {high} in a tensor of shape "
            f"{list(labels.shape)}"
        )
