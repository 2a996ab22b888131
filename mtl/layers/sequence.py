"""Functions on padded sequences. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Pooling = Literal["mean", "max", "last", "sum"]


def reverse_padded(x: Tensor, mask: Tensor) -> Tensor:
    """Return `x [B, T, H]` with the real tokens of each sentence in reverse order.

    Padding stays on the right, so that a recurrence over the result never reads padding before a
    real token. Applying the function twice returns `x`.

    Args:
        x: `[B, T, H]`.
        mask: `[B, T]` bool, True on real tokens, which come first.
    """
    rows, positions = (torch.arange(n, device=x.device) for n in mask.shape)
    lengths = mask.sum(1, keepdim=True)
    source = torch.where(mask, lengths - 1 - positions, positions)  # [B, T]
    # index_select copies whole vectors, several times faster than `gather` copies single elements.
    source = source + mask.shape[1] * rows.unsqueeze(1)
    return x.flatten(0, 1).index_select(0, source.flatten()).view_as(x)


def last_real(x: Tensor, mask: Tensor) -> Tensor:
    """Return the vector of the last real token of each sentence, `[B, H]`.

    For a sentence without tokens it is the vector of the first position.

    Args:
        x: `[B, T, H]`, T at least 1.
        mask: `[B, T]` bool, True on real tokens, which come first.
    """
    last = (mask.sum(1) - 1).clamp(min=0)
    return x[torch.arange(x.shape[0], device=x.device), last]


def last_inputs(x: Tensor, mask: Tensor | None, before: Tensor) -> Tensor:
    """Return the last N vectors of a text that continues an earlier one, `[B, N, H]`.

    Args:
        x: `[B, T, H]`, the next tokens of the text.
        mask: `[B, T]` bool, True on real tokens, which come first; None means that all tokens are
            real.
        before: `[B, N, H]`, the last vectors before them.
    """
    count = before.shape[1]
    if mask is None:
        return torch.cat([before, x[:, -count:]], dim=1)[:, -count:]
    if not x.shape[1]:
        return before
    rows, places = (torch.arange(n, device=x.device) for n in before.shape[:2])
    rows, places = rows.unsqueeze(1), places + mask.sum(1, keepdim=True)  # in the whole text
    new = x[rows, (places - count).clamp(min=0)]
    old = before[rows, places.clamp(max=count - 1)]
    return torch.where((places < count).unsqueeze(2), old, new)


def pool(x: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Return one vector per sentence, `[B, H]`, zero for sentences without tokens.

    Args:
        x: `[B, T, H]`.
        mask: `[B, T]` bool, True on real tokens, which come first.
        pooling: The mean, the maximum or the sum over the tokens, or the vector of the last one.
    """
    if not x.shape[1]:
        return x.sum(1)  # zeros that stay connected to the graph
    real = mask.unsqueeze(-1)
    if pooling == "sum":
        return (x * real).sum(1)
    if pooling == "mean":
        return (x * real).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
    if pooling == "max":
        empty = ~mask.any(1, keepdim=True)
        return x.masked_fill(~real, -torch.inf).amax(1).masked_fill(empty, 0)
    return last_real(x * real, mask)


def k_max(x: Tensor, real: Tensor, k: int) -> Tensor:
    """Return the k largest values of each channel, in their order (Kalchbrenner et al. 2014).

    Args:
        x: `[B, C, T]`.
        real: `[B, 1, T]` bool, True on the positions that count.
        k: The number of values.

    Returns:
        `[B, C, k]`; missing values are −∞, and come last.
    """
    x = x.masked_fill(~real, -torch.inf)
    if k == 1:
        return x.amax(2, keepdim=True)
    x = functional.pad(x, (0, k - 1), value=-torch.inf)  # topk needs at least k positions
    return x.gather(2, x.topk(k, dim=2).indices.sort(dim=2).values)
