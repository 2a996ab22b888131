"""Maximum over positions of sums of table rows. Letters: P positions, U rows, W terms, F width."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class _LargestSum(torch.autograd.Function):
    """Maximum of the sums; only the rows of one largest sum get gradients."""

    @staticmethod
    def forward(ctx: Any, tables: Tensor, ids: Tensor) -> Tensor:
        positions, rows, terms = ids.shape
        sums = functional.embedding_bag(ids.view(-1, terms), tables, mode="sum")
        sums = sums.view(positions, rows, -1)
        # The first dimension is reduced by vector instructions, which `max` with indices is not.
        largest = sums.amax(0)
        numbers = torch.arange(positions, dtype=torch.int16, device=ids.device).view(-1, 1, 1)
        ctx.save_for_backward(ids, ((sums == largest) * numbers).amax(0))
        ctx.count = len(tables)
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        ids, position = ctx.saved_tensors
        (gradient,) = gradients
        rows, width = gradient.shape
        row = torch.arange(rows, device=ids.device).unsqueeze(1)
        chosen = ids[position.long(), row]  # [U, F, W]
        cells = chosen * width + torch.arange(width, device=ids.device).unsqueeze(1)
        tables = gradient.new_zeros(ctx.count * width)
        tables.scatter_add_(0, cells.flatten(), gradient.unsqueeze(2).expand_as(cells).flatten())
        return tables.view(ctx.count, width), None


def largest_sum(tables: Tensor, ids: Tensor) -> Tensor:
    """Return max_p Σ_w tables[ids[p, u, w]], `[U, F]`.

    The backward pass reads only the rows of the maxima, so it is much cheaper than a convolution
    with a maximum over positions, which it equals for a convolution over an embedding. Among equal
    sums the last one gets the gradient.

    Args:
        tables: `[N, F]`. A row of −∞ excludes positions.
        ids: `[P, U, W]` int64, contiguous, P < 2¹⁵.
    """
    largest: Tensor = _LargestSum.apply(tables, ids)
    return largest
