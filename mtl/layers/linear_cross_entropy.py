"""A linear layer fused with the cross-entropy loss. Letters: N tokens, H width, V words.

The scores `[N, V]` never exist as a whole: forward and backward process the vocabulary in chunks.
The backward pass recomputes the scores. That costs one matrix product, and saves more time than it
costs, because all chunks share one buffer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_SCORES_AT_ONCE = 2**21
"""Number of scores per chunk: 8 MB in float32, one buffer for all chunks."""


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None = None,
    *,
    chunk: int | None = None,
) -> Tensor:
    """Return −log softmax(W h + b)[target] of each token in nats, `[N]`.

    It can be differentiated once, with respect to hidden, weight and bias. float16 and bfloat16
    are accumulated in float32, and the result is float32.

    Args:
        hidden: `[N, H]`.
        weight: `[V, H]`.
        targets: `[N]` int64, in [0, V).
        bias: `[V]`; None for no bias.
        chunk: The number of words per chunk. None chooses two million scores per chunk, but at
            least H words, so that a chunk is at least as large as `hidden`.

    Raises:
        ValueError: The shapes do not match, or a target is not a word id.
    """
    if hidden.shape != (len(targets), weight.shape[1]):
        expected = [len(targets), weight.shape[1]]
        raise ValueError(f"hidden: expected shape {expected}, got {list(hidden.shape)}")
    check_targets(targets, len(weight))
    width = chunk or max(weight.shape[1], _SCORES_AT_ONCE // max(len(targets), 1))
    loss: Tensor = _LinearCrossEntropy.apply(hidden, weight, bias, targets, width)
    return loss


def log_normaliser(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return log Σ_v exp(w_v · h + b_v) of each token, `[N]`, without storing `[N, V]` scores.

    Args:
        hidden: `[N, H]`.
        weight: `[V, H]`.
        bias: `[V]`.
    """
    first = torch.zeros(len(hidden), dtype=torch.int64, device=hidden.device)
    return linear_cross_entropy(hidden, weight, first, bias) + (hidden @ weight[0] + bias[0])


def check_targets(targets: Tensor, num_words: int) -> None:
    """Raise ValueError unless all targets are in [0, num_words)."""
    if not targets.numel():
        return
    low, high = (int(end) for end in targets.aminmax())
    if low < 0 or high >= num_words:
        raise ValueError(f"targets: expected ids in [0, {num_words}), got {low} to {high}")


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, width: int
    ) -> Tensor:
        total = hidden.new_full([len(hidden)], -torch.inf, dtype=_summed_in(hidden))
        picked = torch.zeros_like(total)
        buffer = hidden.new_empty(len(hidden) * min(width, len(weight)))
        for words in _chunks(len(weight), width):
            scores = _scores(hidden, weight, bias, words, buffer)
            column, inside = _columns(targets, words)
            target_scores = scores.gather(1, column.unsqueeze(1)).squeeze(1)
            picked = torch.where(inside, target_scores, picked)
            # The clamp replaces a maximum of −inf, whose subtraction would give NaN.
            highest = scores.amax(1).clamp(min=torch.finfo(scores.dtype).min)
            log_sum = scores.sub_(highest.unsqueeze(1)).exp_().sum(1).log_()
            total = torch.logaddexp(total, log_sum + highest)
        ctx.save_for_backward(hidden, weight, bias, targets, total)
        ctx.width = width
        return total - picked

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_loss: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, total = ctx.saved_tensors
        for_hidden, for_weight, for_bias = ctx.needs_input_grad[:3]
        by_hidden = torch.zeros_like(hidden, dtype=total.dtype) if for_hidden else None
        by_weight = torch.empty_like(weight) if for_weight else None
        by_bias = torch.empty_like(bias) if for_bias else None
        buffer = hidden.new_empty(len(hidden) * min(ctx.width, len(weight)))
        rows = torch.arange(len(hidden), device=hidden.device)
        for words in _chunks(len(weight), ctx.width):
            by_scores = _scores(hidden, weight, bias, words, buffer).sub_(total.unsqueeze(1)).exp_()
            column, inside = _columns(targets, words)
            # The gradient of the scores is softmax − one-hot(target).
            by_scores[rows, column] -= inside.to(total.dtype)
            by_scores *= by_loss.unsqueeze(1)
            if by_bias is not None:
                by_bias[words] = by_scores.sum(0)
            by_scores = by_scores.to(hidden.dtype)
            if by_hidden is not None:
                by_hidden += by_scores @ weight[words]
            if by_weight is not None:
                torch.mm(by_scores.t(), hidden, out=by_weight[words])
        return (
            None if by_hidden is None else by_hidden.to(hidden.dtype),
            by_weight,
            by_bias,
            None,
            None,
        )


def _chunks(num_words: int, width: int) -> Iterator[slice]:
    for start in range(0, num_words, width):
        yield slice(start, min(start + width, num_words))


def _scores(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, words: slice, buffer: Tensor
) -> Tensor:
    part = weight[words].t()
    scores = buffer[: len(hidden) * part.shape[1]].view(len(hidden), part.shape[1])
    if bias is None:
        torch.mm(hidden, part, out=scores)
    else:
        torch.addmm(bias[words], hidden, part, out=scores)
    return scores.to(_summed_in(hidden))


def _columns(targets: Tensor, words: slice) -> tuple[Tensor, Tensor]:
    """Return the column of each target in a chunk `[N]`, and whether it is in the chunk `[N]`."""
    inside = (targets >= words.start) & (targets < words.stop)
    # Targets outside the chunk get some valid column, so that gather accepts them.
    return targets.clamp(words.start, words.stop - 1) - words.start, inside


def _summed_in(hidden: Tensor) -> torch.dtype:
    return torch.promote_types(hidden.dtype, torch.float32)
