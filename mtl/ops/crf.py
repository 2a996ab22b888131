"""Linear-chain CRF by dynamic programming. Letters: B sentences, T tokens, K labels.

The score of a path y is start[y_1] + Σ_t emissions[t, y_t] + Σ_t transitions[y_t-1, y_t] + end[y_T]
(Lafferty et al. 2001). Masks are prefixes: the real tokens of a sentence come first. A sentence
without tokens has one empty path, of score 0.
"""

from __future__ import annotations

import torch
from torch import Tensor


def crf_score(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor, paths: Tensor
) -> Tensor:
    """Return the score of one path a sentence, `[B]`.

    Args:
        emissions: `[B, T, K]`.
        transitions: `[K, K]`, from label (row) to label (column).
        start: `[K]`.
        end: `[K]`.
        mask: `[B, T]` bool, True on real tokens, which come first.
        paths: `[B, T]` int64 label ids; ignored on padding.
    """
    real = mask.to(emissions.dtype)
    paths = paths.masked_fill(~mask, 0)
    emitted = emissions.gather(2, paths.unsqueeze(-1)).squeeze(-1)
    moved = transitions[paths[:, :-1], paths[:, 1:]]
    last = paths.gather(1, (mask.sum(1, keepdim=True) - 1).clamp(min=0)).squeeze(1)
    ends = (start[paths[:, 0]] + end[last]) * real[:, 0]
    return (emitted * real).sum(1) + (moved * real[:, 1:]).sum(1) + ends


def crf_log_partition(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> Tensor:
    """Return the logarithm of the summed exponential scores of all paths, `[B]`.

    Arguments as `crf_score`. The forward algorithm in the log domain, so that scores of any
    size neither overflow nor vanish.
    """
    steps = emissions.unbind(1)
    alpha = start + steps[0]  # [B, K]
    for t in range(1, len(steps)):
        moved = torch.logsumexp(alpha.unsqueeze(2) + transitions, dim=1) + steps[t]
        alpha = torch.where(mask[:, t : t + 1], moved, alpha)
    return torch.logsumexp(alpha + end, dim=1).masked_fill(~mask[:, 0], 0)


def crf_marginals(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> Tensor:
    """Return the probability of each label at each token, `[B, T, K]`, zero on padding.

    Arguments as `crf_score`. The gradient of the log-partition by the emissions is just that.
    """
    # Prediction runs in inference mode, whose tensors autograd takes only as copies.
    with torch.inference_mode(False), torch.enable_grad():
        copies = [x.clone().detach() for x in (emissions, transitions, start, end, mask)]
        leaf = copies[0].requires_grad_()
        return torch.autograd.grad(crf_log_partition(*copies).sum(), leaf)[0]


def crf_viterbi(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the best path of each sentence, `[B, T]` int64 (0 on padding), and its score `[B]`.

    Arguments as `crf_score`. Viterbi (1967) for all sentences at once; among equal paths the one
    with the smaller label ids from the end on.
    """
    best = start + emissions[:, 0]  # [B, K]
    came_from = []
    stay = torch.arange(emissions.shape[2], device=emissions.device).expand_as(best)
    for t in range(1, emissions.shape[1]):
        scores, source = (best.unsqueeze(2) + transitions).max(dim=1)
        real = mask[:, t : t + 1]
        best = torch.where(real, scores + emissions[:, t], best)
        # On padding a label comes from itself, so that the walk back starts at the real end.
        came_from.append(torch.where(real, source, stay))
    score, label = (best + end).max(dim=1)
    path = [label]
    for source in reversed(came_from):
        label = source.gather(1, label.unsqueeze(1)).squeeze(1)
        path.append(label)
    paths = torch.stack(path[::-1], dim=1).masked_fill(~mask, 0)
    return paths, score.masked_fill(~mask[:, 0], 0)
