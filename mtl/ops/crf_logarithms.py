"""The CRF in logarithms and float64, for the few sentences whose products underflow.

Letters: B sentences, T tokens, K labels. It is slower than products, and correct for scores of any
size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mtl.ops.crf_paths import ends


def log_partition(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> Tensor:
    """Return the log partition, `[B]` float64."""
    emissions, transitions, start, end = _double(emissions, transitions, start, end)
    return torch.logsumexp(_alphas(emissions, transitions, start, mask)[-1] + end, dim=1)


def log_backward(
    emissions: Tensor,
    transitions: Tensor,
    start: Tensor,
    end: Tensor,
    mask: Tensor,
    factor: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of Σ factor · log partition.

    They are with respect to emissions `[B, T, K]` and transitions `[K, K]`, and zero for sentences
    without a possible path.

    Args:
        emissions: `[B, T, K]`.
        transitions: `[K, K]`.
        start: `[K]`.
        end: `[K]`.
        mask: `[B, T]` bool.
        factor: `[B]`, the weight of each sentence's log partition.
    """
    dtype = emissions.dtype
    emissions, transitions, start, end = _double(emissions, transitions, start, end)
    alphas = _alphas(emissions, transitions, start, mask)
    partition = torch.logsumexp(alphas[-1] + end, dim=1)
    # No possible path: exp(x − ∞) = 0 gives zero gradients, where exp(−∞ + ∞) would be NaN.
    partition = partition.masked_fill(partition == -math.inf, math.inf).unsqueeze(1)
    factor = factor.double().unsqueeze(1)
    marginals = torch.zeros_like(emissions)
    counts = torch.zeros_like(transitions)
    last = ends(mask)
    beta = emissions.new_full(emissions[:, 0].shape, -math.inf)
    for t in range(len(alphas) - 1, -1, -1):
        beta = torch.where(last[:, t : t + 1], end, beta)
        marginals[:, t] = (alphas[t] + beta - partition).exp() * factor * mask[:, t : t + 1]
        if t:
            follows = transitions + (emissions[:, t] + beta).unsqueeze(1)  # [B, K, K]
            logs = alphas[t - 1].unsqueeze(2) + follows - partition.unsqueeze(2)
            counts += (logs.exp() * factor.unsqueeze(2))[mask[:, t]].sum(0)
            beta = torch.logsumexp(follows, dim=2).masked_fill(~mask[:, t : t + 1], -math.inf)
    return marginals.to(dtype), counts.to(dtype)


def _double(*tensors: Tensor) -> list[Tensor]:
    return [x.double() for x in tensors]


def _alphas(emissions: Tensor, transitions: Tensor, start: Tensor, mask: Tensor) -> list[Tensor]:
    """Return T tensors ln α `[B, K]`; padding repeats the value of the last real token."""
    alphas = [start + emissions[:, 0]]
    for t in range(1, emissions.shape[1]):
        moved = torch.logsumexp(alphas[-1].unsqueeze(2) + transitions, dim=1) + emissions[:, t]
        alphas.append(torch.where(mask[:, t : t + 1], moved, alphas[-1]))
    return alphas
