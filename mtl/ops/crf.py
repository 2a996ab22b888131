"""Linear-chain CRF by dynamic programming. Letters: B sentences, T tokens, K labels.

p(y | x) ∝ exp(start[y_1] + Σ_t emissions[t, y_t] + Σ_t transitions[y_t-1, y_t] + end[y_T])
(Lafferty et al. 2001). Masks are prefixes: the real tokens of a sentence come first. A sentence
without tokens has one empty path with score 0. A score of −∞ forbids the label or transition.

The four operators `torch.ops.mtl.crf_*` have a reference in plain torch that runs on every device.
Loading a library of kernels (csrc/) replaces the reference on the library's device. Autograd is an
`autograd.Function` around the operators.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mtl.ops.crf_logarithms import log_backward, log_partition
from mtl.ops.crf_paths import check_prefix, crf_score, ends
from mtl.ops.crf_reference import (
    crf_backward_reference,
    crf_forward_reference,
    crf_marginals_reference,
    crf_viterbi_reference,
)
from mtl.ops.crf_semirings import Chain
from mtl.ops.library import warn_reference
from mtl.ops.pool import LIBRARY

_OPERATORS = torch.library.Library("mtl", "FRAGMENT")
_SCORES = "Tensor emissions, Tensor transitions, Tensor start, Tensor end, Tensor mask"
for _schema in (
    # Returns the log partition of each sentence `[B]`, or the log-likelihood of `paths` `[B, T]`.
    # With `save`, it also returns the tensors for the backward pass: the scaled forward variables
    # α `[B, T, K]` and their scales `[B, T]`.
    f"crf_forward({_SCORES}, Tensor? paths, bool save) "
    "-> (Tensor values, Tensor alphas, Tensor scales)",
    f"crf_backward(Tensor by_values, {_SCORES}, Tensor? paths, Tensor alphas, Tensor scales) -> "
    "(Tensor by_emissions, Tensor by_transitions, Tensor by_start, Tensor by_end)",
    f"crf_marginals({_SCORES}) -> Tensor",
    f"crf_viterbi({_SCORES}) -> (Tensor paths, Tensor scores)",
):
    _OPERATORS.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))


def _warn_reference(emissions: Tensor) -> None:
    device = emissions.device.type
    warn_reference("the CRF", device, LIBRARY.missing if device == "cpu" else "")


def _forward_kernel(emissions: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    _warn_reference(emissions)
    return crf_forward_reference(emissions, *arguments)


def _viterbi_kernel(emissions: Tensor, *arguments: Tensor) -> tuple[Tensor, Tensor]:
    _warn_reference(emissions)
    return crf_viterbi_reference(emissions, *arguments)


# CompositeExplicitAutograd is a fallback for all devices: a kernel that csrc/ registers for CPU or
# CUDA takes precedence, whichever of the two is registered first.


_OPERATORS.impl("crf_forward", _forward_kernel, "CompositeExplicitAutograd")
_OPERATORS.impl("crf_backward", crf_backward_reference, "CompositeExplicitAutograd")
_OPERATORS.impl("crf_marginals", crf_marginals_reference, "CompositeExplicitAutograd")
_OPERATORS.impl("crf_viterbi", _viterbi_kernel, "CompositeExplicitAutograd")


@torch.library.register_fake("mtl::crf_forward", lib=_OPERATORS)
def _forward_shapes(emissions: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    batch, steps, labels = emissions.shape
    values = emissions.new_empty(batch)
    save = arguments[-1]
    if not save:
        return values, emissions.new_empty(0), emissions.new_empty(0)
    return values, emissions.new_empty(batch, steps, labels), emissions.new_empty(batch, steps)


@torch.library.register_fake("mtl::crf_backward", lib=_OPERATORS)
def _backward_shapes(by_values: Tensor, *scores: Any) -> tuple[Tensor, ...]:
    return tuple(x.new_empty(x.shape) for x in scores[:4])


@torch.library.register_fake("mtl::crf_marginals", lib=_OPERATORS)
def _marginals_shapes(emissions: Tensor, *arguments: Tensor) -> Tensor:
    return emissions.new_empty(emissions.shape)


@torch.library.register_fake("mtl::crf_viterbi", lib=_OPERATORS)
def _viterbi_shapes(emissions: Tensor, *arguments: Tensor) -> tuple[Tensor, Tensor]:
    batch, steps, _ = emissions.shape
    return emissions.new_empty(batch, steps, dtype=torch.long), emissions.new_empty(batch)


class _LogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        emissions: Tensor,
        transitions: Tensor,
        start: Tensor,
        end: Tensor,
        mask: Tensor,
        paths: Tensor | None,
    ) -> Tensor:
        inputs = emissions, transitions, start, end, mask, paths
        values: Tensor
        values, alphas, scales = torch.ops.mtl.crf_forward(*inputs, True)
        ctx.save_for_backward(*inputs, alphas, scales)
        return values

    @staticmethod
    def backward(ctx: Any, by_values: Tensor) -> tuple[Tensor | None, ...]:
        # Gradients are enabled here only under `create_graph=True`, which asks for a second
        # derivative.
        gradients = _CRFBackward.apply if torch.is_grad_enabled() else torch.ops.mtl.crf_backward
        return *gradients(by_values, *ctx.saved_tensors), None, None


class _CRFBackward(torch.autograd.Function):
    """Node in the graph of `create_graph=True` that raises an error for a second derivative."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, ...]:
        gradients: tuple[Tensor, ...] = torch.ops.mtl.crf_backward(*arguments)
        return gradients

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        raise NotImplementedError("the CRF operators have no second derivatives")


def _to_common_type(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Chain:
    """Convert the scores to the type of the computation: float64 if any has it, else float32."""
    scores = emissions, transitions, start, end
    dtype = emissions.dtype
    if dtype not in (torch.float32, torch.float64) or any(x.dtype != dtype for x in scores):
        dtype = torch.float64 if any(x.dtype == torch.float64 for x in scores) else torch.float32
    return emissions.to(dtype), transitions.to(dtype), start.to(dtype), end.to(dtype)


class _LogPartition(torch.autograd.Function):
    """Log partition of chains with a matrix of transitions per step."""

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
    ) -> Tensor:
        ctx.save_for_backward(emissions, transitions, start, end, mask)
        values = log_partition(emissions, transitions, start, end, mask)
        return values.to(emissions.dtype).masked_fill(~mask.any(1), 0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_values: Tensor) -> tuple[Tensor | None, ...]:
        emissions, transitions, start, end, mask = ctx.saved_tensors
        by_emissions, by_transitions = log_backward(
            emissions, transitions, start, end, mask, by_values
        )
        # First and last labels enter a path together with the first and the last emission.
        by_end = (by_emissions * ends(mask).unsqueeze(2)).sum((0, 1))
        return by_emissions, by_transitions, by_emissions[:, 0].sum(0), by_end, None


def _values(scores: Chain, mask: Tensor, paths: Tensor | None) -> Tensor:
    scores = _to_common_type(*scores)
    values: Tensor
    if scores[1].dim() > 2:
        check_prefix(mask)
        values = _LogPartition.apply(*scores, mask)
        return values if paths is None else crf_score(*scores, mask, paths) - values
    if torch.is_grad_enabled() and any(x.requires_grad for x in scores):
        values = _LogLikelihood.apply(*scores, mask, paths)
    else:
        values = torch.ops.mtl.crf_forward(*scores, mask, paths, False)[0]
    return values


def crf_log_likelihood(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor, paths: Tensor
) -> Tensor:
    """Return the log-likelihood of one path per sentence in nats, `[B]`.

    It equals `crf_score` minus `crf_log_partition`; one pass computes both and their gradients.

    Args:
        emissions: `[B, T, K]`, of any floating-point type; computed in at least float32.
        transitions: `[K, K]`, from label (row) to label (column); or one matrix per step,
            `[B, T - 1, K, K]`, which is computed in plain torch, in logarithms.
        start: `[K]`.
        end: `[K]`.
        mask: `[B, T]` bool, True on real tokens, which come first.
        paths: `[B, T]` int64 label ids, ignored on padding.
    """
    return _values((emissions, transitions, start, end), mask, paths)


def crf_log_partition(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> Tensor:
    """Return the log partition function, ln Σ exp(score) over all paths, `[B]`.

    The arguments are the same as for `crf_log_likelihood`. The forward algorithm runs on scaled
    products (Rabiner 1989). Sentences whose products may underflow are recomputed in logarithms,
    so the result is correct for scores of any size. If no path is possible, the result is −∞ and
    its gradients are zero.
    """
    return _values((emissions, transitions, start, end), mask, None)


def crf_marginals(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> Tensor:
    """Return the probability of each label at each token, `[B, T, K]`, zero on padding.

    The arguments are the same as for `crf_log_likelihood`. The result has no gradients.
    """
    with torch.no_grad():
        scores = _to_common_type(emissions, transitions, start, end)
        if transitions.dim() > 2:
            check_prefix(mask)
            return log_backward(*scores, mask, scores[0].new_ones(len(mask)))[0]
        marginals: Tensor = torch.ops.mtl.crf_marginals(*scores, mask)
    return marginals


def crf_viterbi(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the best path of each sentence, `[B, T]` int64 (0 on padding), and its score `[B]`.

    Viterbi (1967). The arguments are the same as for `crf_log_likelihood`. Ties are broken in
    favour of the smaller label id, from the last token backwards. The score has no gradients; to
    differentiate it, pass the path to `crf_score`.
    """
    with torch.no_grad():
        scores = _to_common_type(emissions, transitions, start, end)
        if transitions.dim() > 2:
            return crf_viterbi_reference(*scores, mask)
        paths, best = torch.ops.mtl.crf_viterbi(*scores, mask)
    return paths, best
