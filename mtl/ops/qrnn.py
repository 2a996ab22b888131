"""A whole quasi-recurrent layer as one function. Letters: B sentences, T tokens, D and H widths.

The matrix products for the gates and the pooling form one node of the autograd graph. The gates
are therefore private to this node: their gradients overwrite them, and a training step saves only
gates and states. G is the number of gates per unit, N = G·H for each direction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

COUNTS = {"f": 2, "fo": 3, "ifo": 4}
"""Number of gates per unit, by the name of the pooling."""
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
    """Apply one quasi-recurrent layer in one or both directions (Bradbury et al. 2017).

    The gates of a token are `bias` plus the sum of `x_k · weight[k]` over the tokens of the window,
    where `x_k` is the token k places earlier in reading order. `mtl.ops.fo_pool`, `f_pool` or
    `ifo_pool` follows.

    Args:
        x: `[B, T, D]`, the input of both directions; or `[B, T, 2D]`, one half per direction.
        weight: `[window, D, N]`, or `[window, D, 2N]` for two directions.
        bias: `[N]` or `[2N]`.
        c0: `[B, H]` or `[B, 2H]`, the state before the first token; None means zeros.
        before: `[B, (window - 1) · D]`, the inputs before the first token, side by side in the
            order of the text; for the direction that reads from left to right. None means zeros.
        lengths: `[B]` int64, the number of real tokens of each sentence, which come first; None
            means that all tokens are real.
        pooling: "f", "fo" or "ifo".
        reverse: Whether the (first) direction runs from right to left.
        bidirectional: Whether to add a second direction, which runs in the opposite order.
        zoneout_mask: `[B, T, H]` or `[B, T, 2H]` bool, True where the state is kept.

    Returns:
        h `[B, T, H]` or `[B, T, 2H]`, zero on padding, and the last state.

    Raises:
        ValueError: `before` is combined with `reverse=True`.
        NotImplementedError: A second derivative is requested.
    """
    if before is not None and reverse:
        raise ValueError(
            "before: expected None with reverse=True, which starts at the end of the text; "
            "leave one of them out"
        )
    # Autocast does not reach custom operators, so its type is applied here.
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    c0 = None if c0 is None else c0.to(weight.dtype)
    before = None if before is None else before.to(weight.dtype)
    tensors = x, weight, bias, c0, before
    settings = lengths, zoneout_mask, COUNTS[pooling], reverse, 1 + bidirectional
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        outputs: tuple[Tensor, Tensor] = _QRNN.apply(*tensors, *settings)
        return outputs
    h, last, *_ = _forward(*tensors, *settings, save=False)
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
    """Return h, the last state, the states, and the gates including the rows that `_rows` adds."""
    rows = _rows(x, before, lengths, len(weight), directions)
    flat = rows.flatten(0, 1)
    one_product = len(weight) == 1 and weight.shape[1] == x.shape[2]
    if one_product and _aligned(len(bias), bias) == len(bias):
        gates = torch.addmm(bias, flat, weight[0])  # the common case, with the least overhead
    else:
        gates = _aligned_matrix(flat.shape[0], len(bias), weight).copy_(bias)
        for to, columns, source, inputs, tap in _products(x, weight, reverse, directions):
            gates[to, columns].addmm_(flat[source, inputs], weight[tap, :, columns])
    gates = gates.view(*rows.shape[:2], len(bias))
    pool = torch.ops.mtl.pool
    token_gates = _token_rows(gates, x, len(weight))
    return *pool(token_gates, c0, lengths, keep, count, reverse, directions, save), gates


def _rows(
    x: Tensor, before: Tensor | None, lengths: Tensor | None, window: int, directions: int
) -> Tensor:
    """Return the tokens, with `window - 1` rows of zeros or of `before` before each sentence.

    The token k places earlier is then the same row shifted by k, so no tensor of windows is needed.
    Two directions also need such rows after each sentence, as the second direction starts there.
    """
    if window == 1:
        return x
    added = window - 1
    rows = x.new_zeros(x.shape[0], x.shape[1] + directions * added, x.shape[2])
    tokens = x if lengths is None else x.masked_fill(_padding(x, lengths), 0)
    _token_rows(rows, x, window).copy_(tokens)
    if before is not None:
        before = before.unflatten(1, (added, -1))
        rows[:, :added, : before.shape[2]] = before
    return rows


def _token_rows(rows: Tensor, x: Tensor, window: int) -> Tensor:
    """Return the rows of the tokens of x, without the rows that `_rows` added."""
    return rows if window == 1 else rows.narrow(1, window - 1, x.shape[1])


def _aligned(columns: int, like: Tensor) -> int:
    """Return the number of elements per row if every row starts at a multiple of 64 bytes."""
    per_block = 64 // like.element_size()
    return -(-columns // per_block) * per_block


def _aligned_matrix(rows: int, columns: int, like: Tensor) -> Tensor:
    """Return an empty matrix with aligned rows, into which matrix products write faster."""
    return like.new_empty(rows, _aligned(columns, like))[:, :columns]


def _padding(x: Tensor, lengths: Tensor) -> Tensor:
    positions = torch.arange(x.shape[1], device=x.device)
    return (positions >= lengths.unsqueeze(1)).unsqueeze(-1)


def _products(
    x: Tensor, weight: Tensor, reverse: bool, directions: int
) -> Iterator[tuple[slice, slice, slice, slice, int]]:
    """Yield the matrix products whose sum is the gates.

    Each is described by the rows and columns of the gates, the rows and columns of the input, and
    the tap, which is the first index of the weight.
    """
    window, width, columns = weight.shape
    everything = slice(None)
    shared = x.shape[2] == width
    per_direction = [
        (
            slice(d * columns // directions, (d + 1) * columns // directions),
            everything if shared else slice(d * width, (d + 1) * width),
            reverse != (d == 1),
        )
        for d in range(directions)
    ]
    if shared:
        # Both directions read the same input: one product computes the gates of both.
        yield everything, everything, everything, everything, 0
    else:
        for gates, inputs, _ in per_direction:
            yield everything, gates, everything, inputs, 0
    for tap in range(1, window):
        for gates, inputs, backwards in per_direction:
            current, earlier = slice(tap, None), slice(None, -tap)
            if backwards:
                current, earlier = earlier, current
            yield current, gates, earlier, inputs, tap


class _QRNN(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
        h, last, states, gates = _forward(x, weight, *arguments, save=True)
        _, c0, before, lengths, keep, *kind = arguments
        saved = h if kind[0] == COUNTS["f"] else states
        ctx.save_for_backward(x, weight, c0, before, lengths, keep, gates, saved)
        ctx.kind = kind
        return h, last

    @staticmethod
    def backward(ctx: Any, by_h: Tensor, by_last: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[:5]
        gradients = _QRNNBackward.apply(by_h, by_last, *ctx.saved_tensors, *ctx.kind, needed)
        return *gradients, None, None, None, None, None


class _QRNNBackward(torch.autograd.Function):
    """Node in the graph of `create_graph=True` that raises an error for a second derivative."""

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
        needed: Sequence[bool],
    ) -> tuple[Tensor | None, ...]:
        # The gradients overwrite the gates, unless another pass will read the gates again.
        if _graph_is_kept():
            gates = gates.clone()
        by_c0 = torch.ops.mtl.pool_backward_(
            by_h,
            by_last,
            _token_rows(gates, x, len(weight)),
            c0,
            lengths,
            keep,
            states,
            count,
            reverse,
            directions,
        )
        # Rebuilding the rows costs less than saving them from the forward pass.
        rows = _rows(x, before, lengths, len(weight), directions)
        if rows is not x:
            # The added rows have no outputs, so their gates have no gradients.
            gates[:, : len(weight) - 1] = 0
            gates[:, len(weight) - 1 + x.shape[1] :] = 0
        by_gates, flat = gates.flatten(0, 1), rows.flatten(0, 1)
        by_flat = torch.zeros_like(flat) if needed[0] or needed[4] else None
        by_weight = None
        if needed[1]:
            by_weight = _aligned_matrix(weight.shape[:2].numel(), weight.shape[2], weight).zero_()
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
            by_x = _token_rows(by_rows, x, len(weight))
            if rows is not x and lengths is not None:
                by_x = by_x.masked_fill(_padding(x, lengths), 0)
            if needed[4]:
                by_before = by_rows[:, : len(weight) - 1, : weight.shape[1]].flatten(1)
        by_bias = by_gates.sum(0) if needed[2] else None
        return by_x, by_weight, by_bias, by_c0 if needed[3] else None, by_before

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        raise NotImplementedError("a QRNN layer has no second derivatives")


def _graph_is_kept() -> bool:
    """Return whether `retain_graph` is set, or a compiler manages the memory."""
    if torch.compiler.is_compiling():
        return True
    return bool(torch._C._autograd._get_current_graph_task_keep_graph())
