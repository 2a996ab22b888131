"""Pooling of quasi-recurrent networks. Letters: B sentences, T tokens, H width.

Forward and backward are operators, `torch.ops.mtl.pool` and `torch.ops.mtl.pool_backward`, with a
reference in plain torch that runs on every device. Loading a library of kernels (csrc/) replaces
the reference on the library's device. Autograd is an `autograd.Function` around the operators.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mtl.ops.library import load, warn_reference
from mtl.ops.pool_reference import (
    pool_backward_in_place_reference,
    pool_backward_reference,
    pool_reference,
)

_OPERATORS = torch.library.Library("mtl", "DEF")
_TAGS = (torch.Tag.pt2_compliant_tag,)
# `count` is the number of gates: 2 for f, 3 for fo, 4 for ifo. With 2 directions, the second runs
# in the opposite order and occupies the right half of every row: gates are [B, T, 2·count·H], all
# other tensors [B, T, 2H] or [B, 2H]. Results: h `[B, T, H]`; the last state `[B, H]`; the states
# `[B, T, H]` for the backward pass, zero on padding. The states are empty without `save`, and for
# f, where h equals the states. Results have the type of the gates; the state itself is kept in at
# least float32.
_OPERATORS.define(
    "pool(Tensor gates, Tensor? c0, Tensor? lengths, Tensor? keep, int count, bool reverse, "
    "int directions, bool save) -> (Tensor h, Tensor last, Tensor states)",
    tags=_TAGS,
)
# The gradients with respect to the gates and c0.
_OPERATORS.define(
    "pool_backward(Tensor by_h, Tensor by_last, Tensor gates, Tensor? c0, Tensor? lengths, "
    "Tensor? keep, Tensor states, int count, bool reverse, int directions) "
    "-> (Tensor by_gates, Tensor by_c0)",
    tags=_TAGS,
)
# The same, but the gradient of the gates overwrites the gates, which saves a fresh allocation.
_OPERATORS.define(
    "pool_backward_(Tensor by_h, Tensor by_last, Tensor(a!) gates, Tensor? c0, Tensor? lengths, "
    "Tensor? keep, Tensor states, int count, bool reverse, int directions) -> Tensor by_c0",
    tags=_TAGS,
)


def _pool_kernel(gates: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    device = gates.device.type
    missing = {"cpu": LIBRARY.missing, "cuda": CUDA_LIBRARY.missing}
    warn_reference("pooling", device, missing.get(device, ""))
    return pool_reference(gates, *arguments)


_OPERATORS.impl("pool", _pool_kernel, "CompositeExplicitAutograd")
_OPERATORS.impl("pool_backward", pool_backward_reference, "CompositeExplicitAutograd")
_OPERATORS.impl("pool_backward_", pool_backward_in_place_reference, "CompositeExplicitAutograd")


@torch.library.register_fake("mtl::pool", lib=_OPERATORS)
def _pool_shapes(
    gates: Tensor, c0: Any, lengths: Any, keep: Any, count: int, reverse: bool, *flags: Any
) -> tuple[Tensor, Tensor, Tensor]:
    _, save = flags
    batch, steps, width = gates.shape
    h = gates.new_empty(batch, steps, width // count)
    states = torch.empty_like(h) if save and count > 2 else gates.new_empty(0)
    return h, gates.new_empty(batch, width // count), states


@torch.library.register_fake("mtl::pool_backward", lib=_OPERATORS)
def _pool_backward_shapes(
    by_h: Tensor, by_last: Tensor, gates: Tensor, *arguments: Any
) -> tuple[Tensor, Tensor]:
    return gates.new_empty(gates.shape), by_last.new_empty(by_last.shape)


@torch.library.register_fake("mtl::pool_backward_", lib=_OPERATORS)
def _pool_backward_in_place_shapes(by_h: Tensor, by_last: Tensor, *arguments: Any) -> Tensor:
    return by_last.new_empty(by_last.shape)


# The libraries hold the kernels of all operators; they are loaded once the schemas are defined.


LIBRARY = load("cpu")
CUDA_LIBRARY = load("cuda")


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        gates: Tensor,
        c0: Tensor | None,
        lengths: Tensor | None,
        keep: Tensor | None,
        *kind: int,
    ) -> tuple[Tensor, Tensor]:
        h, last, states = torch.ops.mtl.pool(gates, c0, lengths, keep, *kind, True)
        # With two gates (f) the states equal h, so the operator returns them once.
        ctx.save_for_backward(gates, c0, lengths, keep, h if kind[0] == 2 else states)
        ctx.kind = kind
        return h, last

    @staticmethod
    def backward(ctx: Any, by_h: Tensor, by_last: Tensor) -> tuple[Tensor | None, ...]:
        by_gates, by_c0 = _PoolBackward.apply(by_h, by_last, *ctx.saved_tensors, *ctx.kind)
        by_c0 = by_c0 if ctx.needs_input_grad[1] else None
        return by_gates, by_c0, None, None, None, None, None


class _PoolBackward(torch.autograd.Function):
    """Node in the graph of `create_graph=True` that raises an error for a second derivative."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        gradients: tuple[Tensor, Tensor] = torch.ops.mtl.pool_backward(*arguments)
        return gradients

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        raise NotImplementedError("the pooling operators have no second derivatives")


def _pool(
    count: int,
    gates: Tensor,
    c0: Tensor | None,
    lengths: Tensor | None,
    reverse: bool,
    bidirectional: bool,
    keep: Tensor | None,
) -> tuple[Tensor, Tensor]:
    kind = count, reverse, 1 + bidirectional
    if gates.dim() != 3 or gates.shape[2] % (count * (1 + bidirectional)):
        expected = f"[B, T, {count * (1 + bidirectional)}·H]"
        raise ValueError(f"gates: expected {expected}, got {list(gates.shape)}")
    if c0 is not None:
        c0 = c0.to(gates.dtype)
    if torch.is_grad_enabled() and (gates.requires_grad or (c0 is not None and c0.requires_grad)):
        outputs: tuple[Tensor, Tensor] = _Pool.apply(gates, c0, lengths, keep, *kind)
        return outputs
    h, last, _ = torch.ops.mtl.pool(gates, c0, lengths, keep, *kind, False)
    return h, last


def fo_pool(
    gates: Tensor,
    c0: Tensor | None = None,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    bidirectional: bool = False,
    zoneout_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Pooling with forget and output gates (Bradbury et al. 2017, Eq. 4).

    c_t = σ(f)·c_{t-1} + (1 − σ(f))·tanh(z), h_t = σ(o)·c_t

    As in the paper, σ(f) is the share of the old state that is *kept*. The authors' released code
    uses the opposite convention.

    Args:
        gates: `[B, T, 3H]`, pre-activations in the order z, f, o, of any floating-point type;
            bfloat16 and float16 are computed in float32.
        c0: `[B, H]`, the state before the first step; None means zeros.
        lengths: `[B]` int64, the number of real steps of each sentence, which come first; None
            means that all steps are real. Padding steps leave c unchanged and have h = 0.
        reverse: Whether to run from the last step to the first.
        bidirectional: Whether the gates contain two directions, `[B, T, 6H]`; the second runs in
            the opposite order. `c0`, `zoneout_mask` and the results are then 2H wide.
        zoneout_mask: `[B, T, H]` bool, True where the state is kept unchanged (Krueger et al.
            2017).

    Returns:
        h `[B, T, H]` and the last state c `[B, H]`.

    Raises:
        ValueError: The shape of `gates` is wrong.
        NotImplementedError: A second derivative is requested.
    """
    return _pool(3, gates, c0, lengths, reverse, bidirectional, zoneout_mask)


def f_pool(
    gates: Tensor,
    c0: Tensor | None = None,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    bidirectional: bool = False,
    zoneout_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Pooling with a forget gate only (Bradbury et al. 2017, Eq. 3): h_t = c_t.

    c_t = σ(f)·c_{t-1} + (1 − σ(f))·tanh(z)

    Arguments, results and errors are the same as for `fo_pool`, with gates `[B, T, 2H]` in the
    order z, f.
    """
    return _pool(2, gates, c0, lengths, reverse, bidirectional, zoneout_mask)


def ifo_pool(
    gates: Tensor,
    c0: Tensor | None = None,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    bidirectional: bool = False,
    zoneout_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Pooling with input, forget and output gates (Bradbury et al. 2017, Eq. 5).

    c_t = σ(f)·c_{t-1} + σ(i)·tanh(z), h_t = σ(o)·c_t

    Arguments, results and errors are the same as for `fo_pool`, with gates `[B, T, 4H]` in the
    order z, f, o, i. Where `zoneout_mask` is True, the input gate is zero as well.
    """
    return _pool(4, gates, c0, lengths, reverse, bidirectional, zoneout_mask)
