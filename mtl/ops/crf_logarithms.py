"""The CRF in logarithms and float64.

It is slower than products, and correct for scores of any size: for the few sentences whose products
underflow, and for chains with a matrix of transitions per step. Letters: B sentences, T tokens, K
labels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mtl.ops.crf_paths import ends
from mtl.ops.crf_semirings import Chain, fold, forward, logarithm, step


def log_partition(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> Tensor:
    """Return the log partition, `[B]` float64."""
    return fold(logarithm, mask, _double(emissions, transitions, start, end))[0]


def log_backward(
    emissions: Tensor,
    transitions: Tensor,
    start: Tensor,
    end: Tensor,
    mask: Tensor,
    factor: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of Σ factor · log partition.

    They are with respect to emissions `[B, T, K]` and transitions, of the same shape, and zero for
    sentences without a possible path.

    Args:
        emissions: `[B, T, K]`.
        transitions: `[K, K]`, or one matrix per step, `[B, T - 1, K, K]`.
        start: `[K]`.
        end: `[K]`.
        mask: `[B, T]` bool.
        factor: `[B]`, the weight of each sentence's log partition.
    """
    dtype = emissions.dtype
    emissions, transitions, start, end = chain = _double(emissions, transitions, start, end)
    alphas = _alphas(chain, mask)
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
            follows = step(transitions, t) + (emissions[:, t] + beta).unsqueeze(1)  # [B, K, K]
            logs = alphas[t - 1].unsqueeze(2) + follows - partition.unsqueeze(2)
            pairs = logs.exp() * (factor * mask[:, t : t + 1]).unsqueeze(2)
            if transitions.dim() == 2:
                counts += pairs.sum(0)
            else:
                counts[:, t - 1] = pairs
            beta = torch.logsumexp(follows, dim=2).masked_fill(~mask[:, t : t + 1], -math.inf)
    return marginals.to(dtype), counts.to(dtype)


def _double(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Chain:
    return emissions.double(), transitions.double(), start.double(), end.double()


def _alphas(chain: Chain, mask: Tensor) -> list[Tensor]:
    """Return T tensors ln α `[B, K]`; padding repeats the value of the last real token."""
    return [alpha for (alpha,) in forward(logarithm, mask, chain)]
