"""How far the vectors of several domains lie apart. Letters: B vectors, D width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

Distance = Literal["coral", "mmd"]

_WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Squared widths of the kernels of `mmd_distance`, relative to its `scale`."""


def coral_distance(vectors: Tensor, domains: Tensor) -> Tensor:
    """Return ‖C_a − C_b‖²_F / 4D², C the covariances of two domains: CORAL (Sun & Saenko 2016).

    It aligns spreads and correlations, not the means. Of several domains it is the mean over their
    pairs; one of which there are fewer than two vectors is left out, and where fewer than two
    domains are left it is zero.

    Args:
        vectors: `[B, D]`.
        domains: Number of the domain of each vector, int64 `[B]`.
    """
    covariances = [torch.cov(own.T) for own in _by_domain(vectors, domains)]
    apart = [(a - b).square().sum() for a, b in combinations(covariances, 2)]
    return _mean(apart, vectors) / (4 * vectors.shape[1] ** 2)


def mmd_distance(vectors: Tensor, domains: Tensor, scale: float | None = None) -> Tensor:
    """Return the squared maximum mean discrepancy, MMD² (Gretton et al. 2012; Long et al. 2015).

    mean k(a, a') + mean k(b, b') − 2 mean k(a, b), with k the mean of exp(−‖a − b‖² / (s · w)) over
    w = ¼, ½, 1, 2, 4. Zero only where both domains are distributed alike, in the mean and in
    everything else. Several domains as in `coral_distance`.

    Args:
        vectors: `[B, D]`.
        domains: Number of the domain of each vector, int64 `[B]`.
        scale: s; None: the mean squared distance of the vectors of the batch, taken as a constant.
    """
    squares = vectors.square().sum(1)
    # [B, B]; rounding may make the distance of like vectors negative.
    apart = (squares.unsqueeze(1) + squares - 2 * vectors @ vectors.T).clamp(min=0)
    unit = apart.detach().mean() if scale is None else apart.new_tensor(scale)
    scaled = apart / unit.clamp(min=torch.finfo(apart.dtype).tiny)
    kernel = torch.stack([torch.exp(-scaled / width) for width in _WIDTHS]).mean(0)  # [B, B]
    rows = _by_domain(torch.arange(len(vectors), device=vectors.device), domains)

    def like(a: Tensor, b: Tensor) -> Tensor:
        return kernel[a][:, b].mean()

    apart_by_pair = [like(a, a) + like(b, b) - 2 * like(a, b) for a, b in combinations(rows, 2)]
    return _mean(apart_by_pair, vectors)


DISTANCES: dict[Distance, Callable[[Tensor, Tensor], Tensor]] = {
    "coral": coral_distance,
    "mmd": mmd_distance,
}
"""The distances by name."""


def _by_domain(x: Tensor, domains: Tensor) -> list[Tensor]:
    """Return the entries of each domain of which there are two or more."""
    parts = (x[domains == domain] for domain in torch.unique(domains))
    return [part for part in parts if len(part) > 1]


def _mean(distances: Sequence[Tensor], like: Tensor) -> Tensor:
    return torch.stack([*distances]).mean() if distances else like.new_zeros(())
