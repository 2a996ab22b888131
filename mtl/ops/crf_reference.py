"""The CRF in plain torch: the measure of the fast kernels, and what runs where there are none.

Sums over paths go by scaled products (Rabiner 1989): one product of matrices a step, no graph.
Where products may have vanished, sentences are computed again in logarithms (`crf_logarithms`).
Letters: B sentences, T tokens, K labels; inside, time comes first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mtl.ops.crf_logarithms import log_backward, log_partition
from mtl.ops.crf_paths import check_prefix, crf_score, ends


@dataclass(frozen=True)
class _Chain:
    """The scores as factors.

    With c_j the largest transition to label j, and m the largest score of a step:
    E = e^(transition − c), x = e^(emission + c − m), a_t = (a_t-1 E) ⊙ x_t / s_t, Σ a_t = 1,
    w_t = x_t ⊙ β_t / s_t, β_t-1 = E w_t, β_T ∝ e^end, a_T·β_T = 1.
    """

    moves: Tensor  # E, [K, K]
    spread: float  # how far the scores of a column of the transitions, or of the ends, differ
    factors: Tensor  # x, [T, B, K]
    tops: Tensor  # m, [T, B]
    last: Tensor  # [T, B, K]: e^(end − its largest) at the last token, else 0
    real: Tensor  # [T, B, 1]

    @classmethod
    def of(
        cls, emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
    ) -> _Chain:
        column, real = transitions.amax(0), mask.t().unsqueeze(2)
        moves = (transitions - column.masked_fill(column == -math.inf, 0)).exp_()
        differ = (column - transitions.amin(0)).nan_to_num(0, math.inf).amax()
        sums = emissions.transpose(0, 1) + column
        sums[:1] = emissions[:, :1].transpose(0, 1) + start
        sums.masked_fill_(~real, 0)
        tops = sums.amax(2, keepdim=True)
        last = ends(mask).t().unsqueeze(2) * (end - end.amax()).exp()
        spread = torch.maximum(differ, end.amax() - end.amin()).item()
        return cls(moves, spread, sums.sub_(tops).exp_(), tops.squeeze(2), last, real)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Return a `[T, B, K]`, zero on padding, and s `[T, B]`, one on padding."""
        alphas = torch.empty_like(self.factors)
        scales = alphas.new_empty(*alphas.shape[:2], 1)
        alpha = None
        for x, row, scale in zip(
            *(y.unbind() for y in (self.factors, alphas, scales)), strict=True
        ):
            product = x if alpha is None else torch.mm(alpha, self.moves, out=row).mul_(x)
            alpha = torch.div(product, torch.sum(product, 1, True, out=scale), out=row)
        alphas.masked_fill_(~self.real, 0)
        return alphas, scales.masked_fill_(~self.real, 1).squeeze(2)

    def backward(self, alphas: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """Return β and w, `[T, B, K]`, both zero on padding."""
        betas = self.last / (alphas * self.last).sum((0, 2)).unsqueeze(1)
        weights = self.factors / scales.unsqueeze(2)
        back = self.moves.t()
        rows = list(zip(betas.unbind(), weights.unbind(), strict=True))
        for t in range(len(rows) - 1, 0, -1):
            beta, weight = rows[t]
            rows[t - 1][0].addmm_(weight.mul_(beta), back)
        return betas.masked_fill_(~self.real, 0), weights

    def doubtful(self, alphas: Tensor, scales: Tensor) -> Tensor:
        """Return in which sentences products may have vanished that the type could tell, `[B]`.

        A product below the smallest number is lost; it weighs as much as what can follow it, β
        or β/s. β of two labels differ by a factor of e^spread at most, and s is at least e^-spread.
        """
        limits = torch.finfo(alphas.dtype)
        most = 0.01 * limits.eps / limits.tiny
        if 2 * self.spread + math.log(alphas.numel() + 1) <= math.log(most):
            return ~alphas.isfinite().all(2).all(0)
        betas, _ = self.backward(alphas, scales)
        lost = (betas.double().sum(2) / scales.double().clamp(max=1)).sum(0)
        return ~(lost <= most)


def crf_forward_reference(
    emissions: Tensor,
    transitions: Tensor,
    start: Tensor,
    end: Tensor,
    mask: Tensor,
    paths: Tensor | None,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `torch.ops.mtl.crf_forward`; arguments and results are told there."""
    check_prefix(mask)
    scores = emissions, transitions, start, end, mask
    chain = _Chain.of(*scores)
    alphas, scales = chain.forward()
    logs = (scales.double().log() + chain.tops).sum(0) + end.amax()
    values = logs + (alphas * chain.last).sum((0, 2)).double().log()
    some = mask.any(1)
    doubtful = chain.doubtful(alphas, scales) & some
    if doubtful.any():
        values[doubtful] = log_partition(emissions[doubtful], *scores[1:4], mask[doubtful])
    values = values.to(emissions.dtype).masked_fill(~some, 0)
    if paths is not None:
        values = crf_score(*scores, paths) - values
    if not save:
        return values, emissions.new_empty(0), emissions.new_empty(0)
    # A first scale of 0 marks the sentences that were computed in logarithms.
    scales[:1].masked_fill_(doubtful, 0)
    return values, alphas.transpose(0, 1).contiguous(), scales.t().contiguous()


def crf_backward_reference(
    by_values: Tensor,
    emissions: Tensor,
    transitions: Tensor,
    start: Tensor,
    end: Tensor,
    mask: Tensor,
    paths: Tensor | None,
    alphas: Tensor,
    scales: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute `torch.ops.mtl.crf_backward`; arguments and results are told there."""
    factor = by_values if paths is None else -by_values
    doubtful = (scales[:, :1] == 0).any(1)
    chain = _Chain.of(emissions, transitions, start, end, mask)
    alphas = alphas.transpose(0, 1)
    betas, weights = chain.backward(alphas, scales.t())
    wanted = chain.real & ~doubtful.unsqueeze(1)
    # Where it is doubtful there may be NaN, which no product with zero takes away.
    alphas = alphas.masked_fill(~wanted, 0)
    weights = (weights * factor.unsqueeze(1)).masked_fill_(~wanted, 0)
    by_emissions = (alphas * betas * factor.unsqueeze(1)).masked_fill_(~wanted, 0).transpose(0, 1)
    counts = alphas[:-1].flatten(0, 1).t() @ weights[1:].flatten(0, 1)
    by_transitions = chain.moves * counts
    if doubtful.any():
        again = emissions[doubtful], transitions, start, end, mask[doubtful], factor[doubtful]
        by_emissions[doubtful], moved = log_backward(*again)
        by_transitions += moved
    if paths is not None:
        _add_paths(by_values, mask, paths, by_emissions, by_transitions)
    by_end = (by_emissions * ends(mask).unsqueeze(2)).sum((0, 1))
    by_start = by_emissions[:, :1].sum((0, 1))
    return by_emissions.contiguous(), by_transitions, by_start, by_end


def _add_paths(
    by_values: Tensor, mask: Tensor, paths: Tensor, by_emissions: Tensor, by_transitions: Tensor
) -> None:
    """Add the gradients of the paths' scores; each is used once by what it passes."""
    paths = paths.masked_fill(~mask, 0).unsqueeze(2)
    real = by_values.unsqueeze(1) * mask
    by_emissions.scatter_add_(2, paths, real.unsqueeze(2))
    pairs = (paths[:, :-1] * len(by_transitions) + paths[:, 1:]).flatten()
    by_transitions.view(-1).index_add_(0, pairs, real[:, 1:].flatten())


def crf_marginals_reference(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> Tensor:
    """Compute `torch.ops.mtl.crf_marginals`; arguments and results are told there."""
    scores = emissions, transitions, start, end, mask
    _, alphas, scales = crf_forward_reference(*scores, None, True)
    ones = emissions.new_ones(len(emissions))
    return crf_backward_reference(ones, *scores, None, alphas, scales)[0]


def crf_viterbi_reference(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute `torch.ops.mtl.crf_viterbi`; arguments and results are told there."""
    check_prefix(mask)
    batch, steps, labels = emissions.shape
    if not steps:
        return mask.long(), emissions.new_zeros(batch)
    stay = torch.arange(labels, device=emissions.device).expand(batch, labels)
    best = start + emissions[:, 0]  # [B, K]
    subtracted = best.new_zeros(batch, 1, dtype=torch.float64)
    came_from = []
    for t in range(1, steps):
        real = mask[:, t : t + 1]
        # Small numbers are as exact after thousands of steps. Where no path is left, all stay −∞.
        top = (best.amax(1, keepdim=True) * real).nan_to_num_(0, 0, 0)
        best = best - top
        subtracted += top
        scores, source = (best.unsqueeze(2) + transitions).max(dim=1)
        best = torch.where(real, scores + emissions[:, t], best)
        # On padding a label comes from itself, so that the walk back starts at the real end.
        came_from.append(torch.where(real, source, stay))
    score, label = (best + end).max(dim=1)
    path = [label]
    for source in reversed(came_from):
        label = source.gather(1, label.unsqueeze(1)).squeeze(1)
        path.append(label)
    paths = torch.stack(path[::-1], dim=1).masked_fill(~mask, 0)
    score = (score + subtracted.squeeze(1)).to(emissions.dtype)
    return paths, score.masked_fill(~mask[:, 0], 0)
