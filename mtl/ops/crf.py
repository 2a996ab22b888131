"""Linear-chain CRF by dynamic programming. Letters: B sentences, T tokens, K labels.

p(y | x) ∝ exp(start[y_1] + Σ_t emissions[t, y_t] + Σ_t transitions[y_t-1, y_t] + end[y_T])
(Lafferty et al. 2001). Masks are prefixes: the real tokens of a sentence come first. A sentence
without tokens has one empty path, of score 0. A score of −∞ forbids what it belongs to.

The four operators `torch.ops.mtl.crf_*` have their reference in torch for every device; a library
of kernels (csrc/) takes over for its device by being loaded. Autograd is a function around them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mtl.ops.crf_reference import (
    crf_backward_reference,
    crf_forward_reference,
    crf_marginals_reference,
    crf_viterbi_reference,
)
from mtl.ops.library import tell_of_reference
from mtl.ops.pool import LIBRARY

_OPERATORS = torch.library.Library("mtl", "FRAGMENT")
_SCORES = "Tensor emissions, Tensor transitions, Tensor start, Tensor end, Tensor mask"
for _schema in (
    # The log partition of each sentence `[B]`, or with paths `[B, T]` the log-likelihood of those.
    # Where `save` is on, also what the backward pass wants: the scaled sums `[B, T, K]` over what
    # leads to a label, and their scales `[B, T]`.
    f"crf_forward({_SCORES}, Tensor? paths, bool save) "
    "-> (Tensor values, Tensor alphas, Tensor scales)",
    f"crf_backward(Tensor by_values, {_SCORES}, Tensor? paths, Tensor alphas, Tensor scales) -> "
    "(Tensor by_emissions, Tensor by_transitions, Tensor by_start, Tensor by_end)",
    f"crf_marginals({_SCORES}) -> Tensor",
    f"crf_viterbi({_SCORES}) -> (Tensor paths, Tensor scores)",
):
    _OPERATORS.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))


def _tell(emissions: Tensor) -> None:
    device = emissions.device.type
    tell_of_reference("the CRF", device, LIBRARY.missing if device == "cpu" else "")


def _forward_kernel(emissions: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    _tell(emissions)
    return crf_forward_reference(emissions, *rest)


def _viterbi_kernel(emissions: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
    _tell(emissions)
    return crf_viterbi_reference(emissions, *rest)


_OPERATORS.impl("crf_forward", _forward_kernel, "CompositeExplicitAutograd")
_OPERATORS.impl("crf_backward", crf_backward_reference, "CompositeExplicitAutograd")
_OPERATORS.impl("crf_marginals", crf_marginals_reference, "CompositeExplicitAutograd")
_OPERATORS.impl("crf_viterbi", _viterbi_kernel, "CompositeExplicitAutograd")


@torch.library.register_fake("mtl::crf_forward", lib=_OPERATORS)
def _forward_shapes(emissions: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    batch, steps, labels = emissions.shape
    values = emissions.new_empty(batch)
    if not rest[-1]:
        return values, emissions.new_empty(0), emissions.new_empty(0)
    return values, emissions.new_empty(batch, steps, labels), emissions.new_empty(batch, steps)


@torch.library.register_fake("mtl::crf_backward", lib=_OPERATORS)
def _backward_shapes(by_values: Tensor, *scores: Any) -> tuple[Tensor, ...]:
    return tuple(x.new_empty(x.shape) for x in scores[:4])


@torch.library.register_fake("mtl::crf_marginals", lib=_OPERATORS)
def _marginals_shapes(emissions: Tensor, *rest: Tensor) -> Tensor:
    return emissions.new_empty(emissions.shape)


@torch.library.register_fake("mtl::crf_viterbi", lib=_OPERATORS)
def _viterbi_shapes(emissions: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
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
        values, alphas, scales = torch.ops.mtl.crf_forward(*inputs, True)
        ctx.save_for_backward(*inputs, alphas, scales)
        found: Tensor = values
        return found

    @staticmethod
    def backward(ctx: Any, by_values: Tensor) -> tuple[Tensor | None, ...]:
        gradients = _CRFBackward.apply if torch.is_grad_enabled() else torch.ops.mtl.crf_backward
        return *gradients(by_values, *ctx.saved_tensors), None, None


class _CRFBackward(torch.autograd.Function):
    """Stands in the graph of `create_graph=True`, so that a second derivative is refused."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = torch.ops.mtl.crf_backward(*arguments)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        raise NotImplementedError("the operators of the CRF have no second derivatives")


def _one_type(*scores: Tensor) -> tuple[Tensor, ...]:
    """Return emissions and the weights in the type of the computation: float32 or float64."""
    kind = scores[0].dtype
    if kind in (torch.float32, torch.float64) and all(x.dtype == kind for x in scores):
        return scores
    kind = torch.float64 if any(x.dtype == torch.float64 for x in scores) else torch.float32
    return tuple(x.to(kind) for x in scores)


def _values(scores: tuple[Tensor, ...], mask: Tensor, paths: Tensor | None) -> Tensor:
    scores = _one_type(*scores)
    if torch.is_grad_enabled() and any(x.requires_grad for x in scores):
        found: Tensor = _LogLikelihood.apply(*scores, mask, paths)
        return found
    values: Tensor = torch.ops.mtl.crf_forward(*scores, mask, paths, False)[0]
    return values


def crf_log_likelihood(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor, paths: Tensor
) -> Tensor:
    """Return the log-likelihood of one path a sentence in nats, `[B]`.

    What `crf_score` minus `crf_log_partition` is, with both and their gradients in one pass.

    Args:
        emissions: `[B, T, K]`, any floating point; computed in float32 at least.
        transitions: `[K, K]`, from label (row) to label (column).
        start: `[K]`.
        end: `[K]`.
        mask: `[B, T]` bool, True on real tokens, which come first.
        paths: `[B, T]` int64 label ids, ignored on padding.
    """
    return _values((emissions, transitions, start, end), mask, paths)


def crf_log_partition(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> Tensor:
    """Return the logarithm of the summed exponential scores of all paths, `[B]`.

    Arguments as `crf_log_likelihood`. The forward algorithm on scaled products (Rabiner 1989);
    sentences on which products may vanish are computed again in logarithms, so that scores of any
    size are right. −∞ where no path is possible, with gradients of zero.
    """
    return _values((emissions, transitions, start, end), mask, None)


def crf_marginals(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> Tensor:
    """Return the probability of each label at each token, `[B, T, K]`, zero on padding.

    Arguments as `crf_log_likelihood`. Has no gradients of its own.
    """
    with torch.no_grad():
        scores = _one_type(emissions, transitions, start, end)
        marginals: Tensor = torch.ops.mtl.crf_marginals(*scores, mask)
    return marginals


def crf_viterbi(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the best path of each sentence, `[B, T]` int64 (0 on padding), and its score `[B]`.

    Arguments as `crf_log_likelihood`. Viterbi (1967); among equal paths the one with the smaller
    label ids from the end on. The score has no gradients; that of `crf_score` of the path has.
    """
    with torch.no_grad():
        scores = _one_type(emissions, transitions, start, end)
        paths, best = torch.ops.mtl.crf_viterbi(*scores, mask)
    return paths, best
