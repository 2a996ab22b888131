"""Distances between the vector distributions of domains. Letters: B vectors, D width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from mtl.layers.binary_scale import binary_scale

Distance = Literal["coral", "mmd"]

_WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Squared kernel widths of `mmd_distance`, relative to its `scale`."""


def coral_distance(vectors: Tensor, domains: Tensor) -> Tensor:
    """Return the CORAL distance ‖C_a − C_b‖²_F / 4D² (Sun & Saenko 2016).

    C are the covariances of two domains, so it aligns variances and correlations, not means. For
    more than two domains, it is the mean over all pairs. Domains with fewer than two vectors are
    ignored. The distance is zero if fewer than two domains remain.

    Args:
        vectors: `[B, D]`.
        domains: The domain id of each vector, `[B]` int64.
    """
    covariances = [torch.cov(rows.T) for rows in _by_domain(vectors, domains)]
    distances = [(a - b).square().sum() for a, b in combinations(covariances, 2)]
    return _mean(distances, vectors) / (4 * vectors.shape[1] ** 2)


def mmd_distance(vectors: Tensor, domains: Tensor, scale: float | None = None) -> Tensor:
    """Return the squared maximum mean discrepancy, MMD² (Gretton et al. 2012; Long et al. 2015).

    mean k(a, a') + mean k(b, b') − 2 mean k(a, b), with k the mean of exp(−‖a − b‖² / (s · w)) over
    w = ¼, ½, 1, 2, 4. Its expectation is zero only if both domains have the same distribution.
    More than two domains are handled as in `coral_distance`.

    Args:
        vectors: `[B, D]`.
        domains: The domain id of each vector, `[B]` int64.
        scale: s; None means the mean squared distance within the batch, treated as a constant.
    """
    if scale is None:  # the result does not depend on the scale of the vectors, squares do
        vectors = vectors / binary_scale(vectors)
    squares = vectors.square().sum(1)
    # [B, B]; the clamp is there because rounding can make the distance of equal vectors negative.
    distances = (squares.unsqueeze(1) + squares - 2 * vectors @ vectors.T).clamp(min=0)
    # Detached: otherwise vectors could lower the distance by growing apart as a whole.
    unit = distances.detach().mean() if scale is None else distances.new_tensor(scale)
    scaled = distances / unit.clamp(min=torch.finfo(distances.dtype).tiny)
    kernel = torch.stack([torch.exp(-scaled / width) for width in _WIDTHS]).mean(0)  # [B, B]
    rows = _by_domain(torch.arange(len(vectors), device=vectors.device), domains)

    def mean_kernel(a: Tensor, b: Tensor) -> Tensor:
        return kernel[a][:, b].mean()

    by_pair = [
        mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b)
        for a, b in combinations(rows, 2)
    ]
    return _mean(by_pair, vectors)


DISTANCES: dict[Distance, Callable[[Tensor, Tensor], Tensor]] = {
    "coral": coral_distance,
    "mmd": mmd_distance,
}
"""The distance functions by name."""


def _by_domain(x: Tensor, domains: Tensor) -> list[Tensor]:
    """Return the entries of each domain that has at least two."""
    parts = (x[domains == domain] for domain in torch.unique(domains))
    return [part for part in parts if len(part) > 1]


def _mean(distances: Sequence[Tensor], like: Tensor) -> Tensor:
    return torch.stack([*distances]).mean() if distances else like.new_zeros(())
