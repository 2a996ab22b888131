"""CRF functions without compiled kernels: path scores, n-best and random paths, entropy.

Letters: B sentences, T tokens, K labels. Masks are prefixes: the real tokens come first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mtl.ops.crf_semirings import entropy as path_entropy
from mtl.ops.crf_semirings import fold, sampled, step, walk, zeros


def ends(mask: Tensor) -> Tensor:
    """Return a mask of the last real token of each sentence, `[B, T]` bool."""
    return mask & ~torch.nn.functional.pad(mask[:, 1:], (0, 1))[:, : mask.shape[1]]


def check_prefix(mask: Tensor) -> None:
    """Raise ValueError if a real token follows padding; the compiled kernels check it too."""
    # Skipped while compiling: a graph cannot branch on the values of the mask.
    if not torch.compiler.is_compiling() and (mask[:, 1:] > mask[:, :-1]).any():
        raise ValueError(
            "mask: expected the real tokens of a sentence first and padding after them, got a real "
            "token after padding; remove the tokens to be ignored from the inputs"
        )


def crf_score(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor, paths: Tensor
) -> Tensor:
    """Return the score of one path per sentence, `[B]`.

    start[y_1] + Σ_t emissions[t, y_t] + Σ_t transitions[y_t-1, y_t] + end[y_T]

    Args:
        emissions: `[B, T, K]`.
        transitions: `[K, K]`, from label (row) to label (column); or one matrix per step,
            `[B, T - 1, K, K]`.
        start: `[K]`.
        end: `[K]`.
        mask: `[B, T]` bool, True on real tokens, which come first.
        paths: `[B, T]` int64 label ids; ignored on padding.
    """
    padding, labels = ~mask, emissions.shape[2]
    paths = paths.masked_fill(padding, 0)
    emitted = emissions.gather(2, paths.unsqueeze(2)).squeeze(2).masked_fill(padding, 0)
    if transitions.dim() == 2:
        moved = transitions[paths[:, :-1], paths[:, 1:]]
    else:
        moved = transitions.gather(2, paths[:, :-1, None, None].expand(-1, -1, 1, labels))
        moved = moved.squeeze(2).gather(2, paths[:, 1:, None]).squeeze(2)
    moved = moved.masked_fill(padding[:, 1:], 0)
    started = start[paths[:, :1]].masked_fill(padding[:, :1], 0)
    ended = end[paths].masked_fill(~ends(mask), 0)
    return emitted.sum(1) + moved.sum(1) + started.sum(1) + ended.sum(1)


def crf_n_best(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor, n: int
) -> tuple[Tensor, Tensor]:
    """Return the n best paths of each sentence, best first: `[B, n, T]` int64, and scores `[B, n]`.

    Viterbi that keeps the n best partial paths per label. The arguments are the same as for
    `crf_score`. Paths are 0 on padding. If a sentence has fewer than n paths, the missing ones get
    a score of −∞.
    """
    check_prefix(mask)
    batch, steps, labels = emissions.shape
    # A sentence without tokens has one path, the empty one.
    empty = emissions.new_tensor([0.0] + [-torch.inf] * (n - 1))
    if not steps:
        return mask.new_zeros((batch, n, 0), dtype=torch.long), empty.repeat(batch, 1)
    # One token admits a single path per label, so the other n − 1 ranks start impossible.
    none = emissions.new_full((batch, labels, n - 1), -torch.inf)
    best = (start + emissions[:, 0]).unsqueeze(2)  # [B, K, 1]
    best = torch.cat([best, none], dim=2)  # [B, K, n]
    # The state of a partial path has the index label · n + rank. On padding it points to itself.
    stay = torch.arange(labels * n, device=emissions.device).expand(batch, -1)
    backpointers = []
    for t in range(1, steps):
        candidates = best.unsqueeze(3) + step(transitions, t).unsqueeze(-2)  # [B, K from, n, K to]
        scores, source = candidates.flatten(1, 2).transpose(1, 2).topk(n, dim=2)
        real = mask[:, t].view(-1, 1, 1)
        best = torch.where(real, scores + emissions[:, t].unsqueeze(2), best)
        backpointers.append(torch.where(real.squeeze(2), source.flatten(1), stay))
    scores, state = (best + end.unsqueeze(1)).flatten(1).topk(n, dim=1)  # [B, n]
    path = [state // n]
    for source in reversed(backpointers):
        state = source.gather(1, state)
        path.append(state // n)
    paths = torch.stack(path[::-1], dim=2).masked_fill(~mask.unsqueeze(1), 0)
    return paths, torch.where(mask[:, :1], scores, empty)


def crf_sample(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> Tensor:
    """Return one random path per sentence with probability p(y | x), `[B, T]`, 0 on padding.

    Forward filtering and backward sampling, in one pass. The arguments are the same as for
    `crf_score`.
    """
    check_prefix(mask)
    return walk(sampled, mask, (emissions, transitions, start, end))[0]


def crf_entropy(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> Tensor:
    """Return the entropy of the distribution over paths in nats, `[B]`.

    One forward pass in the semiring of entropies (Hernando et al. 2005, Eq. 3). It is 0 if no path
    is possible. The arguments are the same as for `crf_score`.
    """
    check_prefix(mask)
    if not emissions.shape[1]:
        return emissions.sum((1, 2))  # zeros that stay connected to the graph
    chain = emissions, transitions, start, end
    _, found = fold(path_entropy, mask, chain, zeros(chain))
    return found.masked_fill(~mask[:, 0], 0)
