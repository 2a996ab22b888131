"""The CRF in plain torch: the reference for the kernels, and the fallback without them.

Sums over paths use scaled products (Rabiner 1989): one matrix product per step, and no autograd
graph. Sentences whose products may have underflowed are recomputed in logarithms
(`crf_logarithms`). Letters: B sentences, T tokens, K labels. Inside, time is the first dimension.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mtl.ops.crf_logarithms import log_backward, log_partition
from mtl.ops.crf_paths import check_prefix, crf_score, ends
from mtl.ops.crf_semirings import best, walk


@dataclass(frozen=True)
class _Chain:
    """The scores of a batch as factors in (0, 1].

    Let c_j be the largest transition to label j, and m the largest score of a step:
    E = e^(transition − c), x = e^(emission + c − m), a_t = (a_t-1 E) ⊙ x_t / s_t, Σ a_t = 1,
    w_t = x_t ⊙ β_t / s_t, β_t-1 = E w_t, β_T ∝ e^end, a_T·β_T = 1.
    """

    moves: Tensor  # E, [K, K]
    spread: float  # largest score difference within a column of the transitions, or within `end`
    factors: Tensor  # x, [T, B, K]
    tops: Tensor  # m, [T, B]
    last: Tensor  # [T, B, K]: e^(end − its largest) at the last token, else 0
    real: Tensor  # [T, B, 1]

    @classmethod
    def of(
        cls, emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
    ) -> _Chain:
        column, real = transitions.amax(0), mask.t().unsqueeze(2)
        # A column of −∞ has no finite maximum; −∞ − (−∞) would be NaN.
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
        """Return the sentences in which an underflow may have changed the result, `[B]` bool.

        A product below the smallest normal number is lost. Its contribution to the partition is
        bounded by its weight, β or β/s. The β of two labels differ by a factor of at most
        e^spread, and s is at least e^−spread.
        """
        limits = torch.finfo(alphas.dtype)
        most = 0.01 * limits.eps / limits.tiny
        # The bound over the whole batch is enough in nearly all cases, and saves a backward pass.
        if 2 * self.spread + math.log(alphas.numel() + 1) <= math.log(most):
            return ~alphas.isfinite().all(2).all(0)
        betas, _ = self.backward(alphas, scales)
        lost = (betas.double().sum(2) / scales.double().clamp(max=1)).sum(0)
        return ~(lost <= most)  # not `lost > most`: NaN must count as doubtful


def crf_forward_reference(
    emissions: Tensor,
    transitions: Tensor,
    start: Tensor,
    end: Tensor,
    mask: Tensor,
    paths: Tensor | None,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `torch.ops.mtl.crf_forward`; see its schema for arguments and results."""
    check_prefix(mask)
    scores = emissions, transitions, start, end, mask
    chain = _Chain.of(*scores)
    alphas, scales = chain.forward()
    logs = (scales.double().log() + chain.tops).sum(0) + end.amax()
    values = logs + (alphas * chain.last).sum((0, 2)).double().log()
    has_tokens = mask.any(1)
    doubtful = chain.doubtful(alphas, scales) & has_tokens
    if doubtful.any():
        values[doubtful] = log_partition(emissions[doubtful], *scores[1:4], mask[doubtful])
    values = values.to(emissions.dtype).masked_fill(~has_tokens, 0)
    if paths is not None:
        values = crf_score(*scores, paths) - values
    if not save:
        return values, emissions.new_empty(0), emissions.new_empty(0)
    # A first scale of 0 marks the sentences computed in logarithms, for the backward pass.
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
    """Compute `torch.ops.mtl.crf_backward`; see its schema for arguments and results."""
    factor = by_values if paths is None else -by_values
    doubtful = (scales[:, :1] == 0).any(1)
    chain = _Chain.of(emissions, transitions, start, end, mask)
    alphas = alphas.transpose(0, 1)
    betas, weights = chain.backward(alphas, scales.t())
    valid = chain.real & ~doubtful.unsqueeze(1)
    # Doubtful sentences may hold NaN. They are filled, since a product with zero keeps NaN.
    alphas = alphas.masked_fill(~valid, 0)
    weights = (weights * factor.unsqueeze(1)).masked_fill_(~valid, 0)
    by_emissions = (alphas * betas * factor.unsqueeze(1)).masked_fill_(~valid, 0).transpose(0, 1)
    counts = alphas[:-1].flatten(0, 1).t() @ weights[1:].flatten(0, 1)
    by_transitions = chain.moves * counts
    if doubtful.any():
        inputs = emissions[doubtful], transitions, start, end, mask[doubtful], factor[doubtful]
        by_emissions[doubtful], expected_counts = log_backward(*inputs)
        by_transitions += expected_counts
    if paths is not None:
        _add_path_gradients(by_values, mask, paths, by_emissions, by_transitions)
    # Start and end scores enter a path together with the first and the last emission, so their
    # gradients are sums of gradients already computed.
    by_end = (by_emissions * ends(mask).unsqueeze(2)).sum((0, 1))
    by_start = by_emissions[:, :1].sum((0, 1))
    return by_emissions.contiguous(), by_transitions, by_start, by_end


def _add_path_gradients(
    by_values: Tensor, mask: Tensor, paths: Tensor, by_emissions: Tensor, by_transitions: Tensor
) -> None:
    """Add the gradients of the path scores: one per emission and transition on the path."""
    paths = paths.masked_fill(~mask, 0).unsqueeze(2)
    real = by_values.unsqueeze(1) * mask
    by_emissions.scatter_add_(2, paths, real.unsqueeze(2))
    pairs = (paths[:, :-1] * len(by_transitions) + paths[:, 1:]).flatten()
    by_transitions.view(-1).index_add_(0, pairs, real[:, 1:].flatten())


def crf_marginals_reference(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> Tensor:
    """Compute `torch.ops.mtl.crf_marginals`; see its schema for arguments and results.

    The marginals are the gradients of the log partition with respect to the emissions.
    """
    scores = emissions, transitions, start, end, mask
    _, alphas, scales = crf_forward_reference(*scores, None, True)
    ones = emissions.new_ones(len(emissions))
    return crf_backward_reference(ones, *scores, None, alphas, scales)[0]


def crf_viterbi_reference(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute `torch.ops.mtl.crf_viterbi`; see its schema for arguments and results."""
    check_prefix(mask)
    return walk(best, mask, (emissions, transitions, start, end))
