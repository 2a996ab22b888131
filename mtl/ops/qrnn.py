"""A whole quasi-recurrent layer as one function. Letters: B sentences, T tokens, D and H widths.

The products that make the gates and the pooling stand in one node of the graph, so that the gates
belong to nobody else: their gradients are written over them, and a step of training saves gates and
states alone. G is the number of gates a unit, N = G·H for each direction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

COUNTS = {"f": 2, "fo": 3, "ifo": 4}
"""Gates a unit, by the name of the pooling."""
QRNNPooling = Literal["f", "fo", "ifo"]


def qrnn(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    c0: Tensor | None = None,
    before: Tensor | None = None,
    lengths: Tensor | None = None,
    *,
    pooling: QRNNPooling = "fo",
    reverse: bool = False,
    bidirectional: bool = False,
    zoneout_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One layer of Bradbury et al. (2017) in one or both directions.

    The gates of a token are `x_t · weight[0] + x_before · weight[1] + bias`, where the window is 2,
    with the token read before it; then `mtl.ops.fo_pool` or one of its siblings.

    Args:
        x: `[B, T, D]`, read by both directions; or `[B, T, 2D]`, of which each has its half.
        weight: `[window, D, N]`, or `[window, D, 2N]` for two directions.
        bias: `[N]` or `[2N]`.
        c0: `[B, H]` or `[B, 2H]`, the state before the first token; None: zero.
        before: `[B, D]`, what the window sees before the first token, where reading from left to
            right; None: zero.
        lengths: `[B]` int64, the real tokens of each sentence, which come first; None: all.
        pooling: "f", "fo" or "ifo".
        reverse: Whether the (first) direction goes from right to left.
        bidirectional: Whether there is a second direction, which reads the other way.
        zoneout_mask: `[B, T, H]` or `[B, T, 2H]` bool, True where the state is kept.

    Returns:
        h `[B, T, H]` or `[B, T, 2H]`, zero past the length of a sentence, and the last state.

    Raises:
        ValueError: `before` is given, but the first direction is reversed.
        NotImplementedError: On a second derivative.
    """
    if before is not None and reverse:
        raise ValueError("before: from right to left nothing is known of what was read before")
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    c0 = None if c0 is None else c0.to(weight.dtype)
    before = None if before is None else before.to(weight.dtype)
    tensors = x, weight, bias, c0, before
    rest = lengths, zoneout_mask, COUNTS[pooling], reverse, 1 + bidirectional
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        found: tuple[Tensor, Tensor] = _QRNN.apply(*tensors, *rest)
        return found
    h, last, *_ = _forward(*tensors, *rest, save=False)
    return h, last


def _forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    c0: Tensor | None,
    before: Tensor | None,
    lengths: Tensor | None,
    keep: Tensor | None,
    count: int,
    reverse: bool,
    directions: int,
    *,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return h, the last state, the states and the gates with their further rows."""
    rows = _rows(x, before, lengths, len(weight), directions)
    flat = rows.flatten(0, 1)
    one_product = len(weight) == 1 and weight.shape[1] == x.shape[2]
    if one_product and _aligned(len(bias), bias) == len(bias):
        gates = torch.addmm(bias, flat, weight[0])  # the same, with the least to do around it
    else:
        gates = _rows_of(flat.shape[0], len(bias), weight).copy_(bias)
        for to, columns, source, inputs, tap in _products(x, weight, reverse, directions):
            gates[to, columns].addmm_(flat[source, inputs], weight[tap, :, columns])
    gates = gates.view(*rows.shape[:2], len(bias))
    pool = torch.ops.mtl.pool
    real = _real(gates, x)
    return *pool(real, c0, lengths, keep, count, reverse, directions, save), gates


def _rows(
    x: Tensor, before: Tensor | None, lengths: Tensor | None, window: int, directions: int
) -> Tensor:
    """Return the tokens with a row of zeros, or `before`, in front of each sentence for window 2.

    The neighbours of all tokens are then the same rows shifted by one, and no copy holds pairs.
    Two directions need a row behind, too: what is before one text is not behind the other.
    """
    if window == 1:
        return x
    rows = x.new_zeros(x.shape[0], x.shape[1] + directions, x.shape[2])
    _real(rows, x).copy_(x if lengths is None else x.masked_fill(_padding(x, lengths), 0))
    if before is not None:
        rows[:, 0, : before.shape[1]] = before
    return rows


def _real(rows: Tensor, x: Tensor) -> Tensor:
    """Return what belongs to the tokens of x, of rows that `_rows` made or of their gates."""
    return rows[:, 1 : x.shape[1] + 1] if rows.shape[1] > x.shape[1] else rows


def _aligned(columns: int, like: Tensor) -> int:
    """Return how many numbers a row takes where each row begins at a multiple of 64 bytes."""
    number = 64 // like.element_size()
    return -(-columns // number) * number


def _rows_of(rows: int, columns: int, like: Tensor) -> Tensor:
    """Return a matrix whose rows are aligned, which products write faster."""
    return like.new_empty(rows, _aligned(columns, like))[:, :columns]


def _padding(x: Tensor, lengths: Tensor) -> Tensor:
    positions = torch.arange(x.shape[1], device=x.device)
    return (positions >= lengths.unsqueeze(1)).unsqueeze(-1)


def _products(
    x: Tensor, weight: Tensor, reverse: bool, directions: int
) -> Iterator[tuple[slice, slice, slice, slice, int]]:
    """Yield the products whose sum the gates are.

    Each is told as rows and columns of the gates, rows and columns of the input, and the tap: the
    first index of the weight.
    """
    window, width, columns = weight.shape
    everything = slice(None)
    shared = x.shape[2] == width
    ways = [
        (
            slice(way * columns // directions, (way + 1) * columns // directions),
            everything if shared else slice(way * width, (way + 1) * width),
            reverse != (way == 1),
        )
        for way in range(directions)
    ]
    if shared:
        yield everything, everything, everything, everything, 0
    else:
        for own, inputs, _ in ways:
            yield everything, own, everything, inputs, 0
    for own, inputs, backwards in ways if window == 2 else ():
        here, there = slice(1, None), slice(None, -1)
        if backwards:
            here, there = there, here
        yield here, own, there, inputs, 1


class _QRNN(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        h, last, states, gates = _forward(x, weight, *rest, save=True)
        _, c0, before, lengths, keep, *kind = rest
        saved = h if kind[0] == COUNTS["f"] else states
        ctx.save_for_backward(x, weight, c0, before, lengths, keep, gates, saved)
        ctx.kind = kind
        return h, last

    @staticmethod
    def backward(ctx: Any, by_h: Tensor, by_last: Tensor) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[:5]
        found = _QRNNBackward.apply(by_h, by_last, *ctx.saved_tensors, *ctx.kind, wanted)
        return *found, None, None, None, None, None


class _QRNNBackward(torch.autograd.Function):
    """Stands in the graph of `create_graph=True`, so that a second derivative is refused."""

    @staticmethod
    def forward(
        ctx: Any,
        by_h: Tensor,
        by_last: Tensor,
        x: Tensor,
        weight: Tensor,
        c0: Tensor | None,
        before: Tensor | None,
        lengths: Tensor | None,
        keep: Tensor | None,
        gates: Tensor,
        states: Tensor,
        count: int,
        reverse: bool,
        directions: int,
        wanted: Sequence[bool],
    ) -> tuple[Tensor | None, ...]:
        if _needed_again():
            gates = gates.clone()
        by_c0 = torch.ops.mtl.pool_backward_(
            by_h, by_last, _real(gates, x), c0, lengths, keep, states, count, reverse, directions
        )
        rows = _rows(x, before, lengths, len(weight), directions)
        if rows is not x:
            gates[:, 0] = 0
            gates[:, x.shape[1] + 1 :] = 0
        by_gates, flat = gates.flatten(0, 1), rows.flatten(0, 1)
        by_flat = torch.zeros_like(flat) if wanted[0] or wanted[4] else None
        by_weight = None
        if wanted[1]:
            by_weight = _rows_of(weight.shape[:2].numel(), weight.shape[2], weight).zero_()
            by_weight = by_weight.view(weight.shape)
        for to, columns, source, inputs, tap in _products(x, weight, reverse, directions):
            by = by_gates[to, columns]
            if by_weight is not None:
                by_weight[tap, :, columns].addmm_(flat[source, inputs].t(), by)
            if by_flat is not None:
                by_flat[source, inputs].addmm_(by, weight[tap, :, columns].t())
        by_x = by_before = None
        if by_flat is not None:
            by_rows = by_flat.view(rows.shape)
            by_x = _real(by_rows, x)
            if rows is not x and lengths is not None:
                by_x = by_x.masked_fill(_padding(x, lengths), 0)
            by_before = by_rows[:, 0, : weight.shape[1]] if wanted[4] else None
        by_bias = by_gates.sum(0) if wanted[2] else None
        return by_x, by_weight, by_bias, by_c0 if wanted[3] else None, by_before

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        raise NotImplementedError("a QRNN layer has no second derivatives")


def _needed_again() -> bool:
    """Whether the graph is kept for another backward pass, or a compiler lays out the memory."""
    if torch.compiler.is_compiling():
        return True
    return bool(torch._C._autograd._get_current_graph_task_keep_graph())
