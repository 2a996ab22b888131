"""Linear chains in any semiring: the reference of log Z, Viterbi, sampling, entropy, expectations.

All of them are one recursion over the tokens (Goodman 1999; Eisner 2002). The product of two
weights adds their scores, and the sum of the weights of several paths differs:

| semiring | a weight | sum over paths | result |
|---|---|---|---|
| `logarithm` | (score,) | log Σ exp | the log partition |
| `maximum` | (score,) | max | the score of the best path |
| `expectation` | (score, value) | log Σ exp; the mean value under its softmax | E[value] |
| `entropy` | (score, entropy) | log Σ exp; the entropy of the mixture | the entropy |

`maximum` and `sampled` also choose one of the paths, so that `walk` can return it.

Letters: B sentences, T tokens, K labels. A chain has emissions `[B, T, K]`, transitions from label
(row) to label (column), `[K, K]` or one matrix per step, `[B, T - 1, K, K]`, and scores of first
and last labels, `[K]`. Masks are prefixes: the real tokens come first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

Chain: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
"""Emissions, transitions, first labels, last labels."""
Weight: TypeAlias = tuple[Tensor, ...]
"""The parts of a weight, all of the same shape."""
Sum: TypeAlias = Callable[[Weight], Weight]
"""Adds weights over dim 1."""


def logarithm(weight: Weight) -> Weight:
    """Return log Σ exp of scores."""
    return (torch.logsumexp(weight[0], dim=1),)


def maximum(weight: Weight) -> Weight:
    """Return the largest score."""
    return (weight[0].amax(1),)


def expectation(weight: Weight) -> Weight:
    """Return log Σ exp of scores, and the mean of values under the softmax of the scores."""
    scores, values = weight
    share, _ = _shares(scores)
    return torch.logsumexp(scores, dim=1), (share * values).sum(1)


def entropy(weight: Weight) -> Weight:
    """Return log Σ exp of scores, and the entropy of a mixture (Hernando et al. 2005, Eq. 3).

    It is the entropy of the choice of a component plus the expected entropy of the component.
    """
    scores, entropies = weight
    share, logs = _shares(scores)
    return torch.logsumexp(scores, dim=1), (share * (entropies - logs)).sum(1)


def _shares(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the softmax over dim 1 and its logarithms; all are 0 where nothing is possible."""
    possible = scores != -torch.inf  # NaN counts as possible, so that it reaches the result
    logs = scores.masked_fill(~possible, torch.finfo(scores.dtype).min).log_softmax(1)
    return logs.exp() * possible.any(1, keepdim=True), logs.masked_fill(~possible, 0)


def zeros(chain: Chain) -> Chain:
    """Return a chain of the same shape whose scores are zero."""
    emissions, transitions, start, end = map(torch.zeros_like, chain)
    return emissions, transitions, start, end


def step(transitions: Tensor, token: int) -> Tensor:
    """Return the transitions to a token, `[K, K]` or `[B, K, K]`."""
    return transitions if transitions.dim() == 2 else transitions[:, token - 1]


def forward(add: Sum, mask: Tensor, *chains: Chain) -> list[Weight]:
    """Return the weights of all prefixes of paths: per token the weight by its label, `[B, K]`.

    Args:
        add: The sum of the semiring.
        mask: `[B, T]` bool, True on real tokens; padding repeats the weight of the last one.
        chains: One chain per part of a weight.
    """
    weight: Weight = tuple(start + emissions[:, 0] for emissions, _, start, _ in chains)
    found = [weight]
    for t in range(1, mask.shape[1]):
        moves = tuple(
            part.unsqueeze(2) + step(transitions, t)
            for part, (_, transitions, _, _) in zip(weight, chains, strict=True)
        )
        moved = (
            part + emissions[:, t]
            for part, (emissions, _, _, _) in zip(add(moves), chains, strict=True)
        )
        real = mask[:, t : t + 1]
        weight = tuple(torch.where(real, new, old) for new, old in zip(moved, weight, strict=True))
        found.append(weight)
    return found


def fold(add: Sum, mask: Tensor, *chains: Chain) -> Weight:
    """Return the sum of the weights of all paths, `[B]` per part; arguments as for `forward`."""
    weight = forward(add, mask, *chains)[-1]
    return add(tuple(part + chain[3] for part, chain in zip(weight, chains, strict=True)))


Choose: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Chooses over dim 1 of scores: returns the scores of the sum, and the index of the choice."""


def best(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the largest score."""
    values, index = scores.max(dim=1)
    return values, index


def sampled(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Choose at random, in proportion to exp(score); the score of the sum is log Σ exp."""
    # The largest of scores with Gumbel noise has the distribution of their softmax (Gumbel 1954).
    noise = -torch.empty_like(scores).exponential_().log()
    return torch.logsumexp(scores, dim=1), (scores + noise).argmax(1)


def walk(choose: Choose, mask: Tensor, chain: Chain) -> tuple[Tensor, Tensor]:
    """Return one path per sentence, `[B, T]`, 0 on padding, and the sum of the scores, `[B]`.

    With `best`, the path is the best one (Viterbi 1967), and the sum is its score. With `sampled`,
    it is a random path with probability p(y | x), and the sum is the log partition.

    Args:
        choose: Adds scores over dim 1 and chooses one of them.
        mask: `[B, T]` bool, True on real tokens.
        chain: Emissions, transitions, first and last labels.
    """
    emissions, transitions, start, end = chain
    batch, steps, labels = emissions.shape
    if not steps:
        return mask.long(), emissions.new_zeros(batch)
    stay = torch.arange(labels, device=emissions.device).expand(batch, labels)
    total = start + emissions[:, 0]  # [B, K]
    subtracted = total.new_zeros(batch, 1, dtype=torch.float64)
    backpointers = []
    for t in range(1, steps):
        real = mask[:, t : t + 1]
        # Subtracting the maximum keeps float32 exact over thousands of steps. Where no path is
        # possible the maximum is −∞; nan_to_num_ replaces it by 0, so that the scores stay −∞.
        top = (total.amax(1, keepdim=True) * real).nan_to_num_(0, 0, 0)
        total = total - top
        subtracted += top
        moved, source = choose(total.unsqueeze(2) + step(transitions, t))
        total = torch.where(real, moved + emissions[:, t], total)
        # On padding each label points to itself, so that backtracking starts at the last real
        # token.
        backpointers.append(torch.where(real, source, stay))
    score, label = choose(total + end)
    path = [label]
    for source in reversed(backpointers):
        label = source.gather(1, label.unsqueeze(1)).squeeze(1)
        path.append(label)
    paths = torch.stack(path[::-1], dim=1).masked_fill(~mask, 0)
    score = (score + subtracted.squeeze(1)).to(emissions.dtype)
    return paths, score.masked_fill(~mask[:, 0], 0)
