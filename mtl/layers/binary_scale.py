"""Scales that keep products of very small and very large numbers within float32."""

from __future__ import annotations

import torch
from torch import Tensor


def binary_scale(x: Tensor, dim: int | None = None) -> Tensor:
    """Return a power of two s such that the largest |x| / s is in [1, 2), without gradients.

    Squares and products of x / s neither overflow nor vanish. Since s is a power of two, the
    division is exact: results in the ordinary range do not change by it. For numbers below the
    smallest normal number, s is that number; for zeros, infinity and NaN it is 1.

    Args:
        x: Numbers of any shape.
        dim: The dimension over which the largest number is taken; it is kept with size 1. None:
            all dimensions, and the result is a scalar.
    """
    largest = torch.linalg.vector_norm(x.detach(), torch.inf, dim, keepdim=dim is not None)
    fraction, _ = torch.frexp(largest)  # largest = fraction · 2^n with fraction in [½, 1)
    ordinary = largest.isfinite() & (largest > 0)
    scale = torch.where(ordinary, largest / (2 * fraction), 1)
    return scale.clamp(min=torch.finfo(x.dtype).tiny)
