"""Pooling in plain torch: the reference for the kernels, and the fallback without them.

It computes the activations of all steps at once, then one fused operation per step. No step adds a
node to the autograd graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def pool_reference(
    gates: Tensor,
    c0: Tensor | None,
    lengths: Tensor | None,
    keep: Tensor | None,
    count: int,
    reverse: bool,
    directions: int,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `torch.ops.mtl.pool`; see its schema for arguments and results."""
    inputs = _by_direction(directions, reverse, gates, c0, keep)
    outputs = [
        _forward(gates, c0, lengths, keep, count, reverse, save)
        for reverse, gates, c0, keep in inputs
    ]
    h, last, states = (_joined(parts) for parts in zip(*outputs, strict=True))
    return h, last, states


def pool_backward_reference(
    by_h: Tensor,
    by_last: Tensor,
    gates: Tensor,
    c0: Tensor | None,
    lengths: Tensor | None,
    keep: Tensor | None,
    states: Tensor,
    count: int,
    reverse: bool,
    directions: int,
) -> tuple[Tensor, Tensor]:
    """Compute `torch.ops.mtl.pool_backward`; see its schema for arguments and results."""
    inputs = _by_direction(directions, reverse, by_h, by_last, gates, c0, keep, states)
    gradients = [
        _backward(by_h, by_last, gates, c0, lengths, keep, states, count, reverse)
        for reverse, by_h, by_last, gates, c0, keep, states in inputs
    ]
    by_gates, by_c0 = (_joined(parts) for parts in zip(*gradients, strict=True))
    return by_gates, by_c0


def pool_backward_in_place_reference(
    by_h: Tensor, by_last: Tensor, gates: Tensor, *arguments: Any
) -> Tensor:
    """Compute `torch.ops.mtl.pool_backward_`; see its schema for arguments and results."""
    by_gates, by_c0 = pool_backward_reference(by_h, by_last, gates, *arguments)
    gates.copy_(by_gates)
    return by_c0


def _by_direction(
    directions: int, reverse: bool, *tensors: Tensor | None
) -> Iterator[tuple[Any, ...]]:
    """Yield, per direction, whether it is reversed and its slice of each tensor."""
    for direction in range(directions):
        parts = (None if x is None else x.chunk(directions, dim=-1)[direction] for x in tensors)
        yield reverse != (direction == 1), *parts


def _joined(parts: tuple[Tensor, ...]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def _forward(
    gates: Tensor,
    c0: Tensor | None,
    lengths: Tensor | None,
    keep: Tensor | None,
    count: int,
    reverse: bool,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    z, f, o, i = _activated(gates, lengths, keep, count)
    c = _start(z, c0)
    states = torch.empty_like(z)
    update = z if i is None else z.mul_(i)
    for t in _order(z.shape[1], reverse):
        if i is None:  # f·c + (1 − f)·z
            c = torch.lerp(update[:, t], c, f[:, t], out=states[:, t])
        else:
            c = torch.addcmul(update[:, t], f[:, t], c, out=states[:, t])
    last = c.to(gates.dtype, copy=True)
    h = states if o is None else o.mul_(states)
    padding = _padding(gates, lengths)
    if padding is not None:
        h.masked_fill_(padding, 0)
    if not save or o is None:
        return h.to(gates.dtype), last, gates.new_empty(0)
    if padding is not None:
        states.masked_fill_(padding, 0)
    return h.to(gates.dtype), last, states.to(gates.dtype)


def _backward(
    by_h: Tensor,
    by_last: Tensor,
    gates: Tensor,
    c0: Tensor | None,
    lengths: Tensor | None,
    keep: Tensor | None,
    states: Tensor,
    count: int,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    z, f, o, i = _activated(gates, lengths, keep, count)
    padding = _padding(gates, lengths)
    by_h, states, carried = (x.to(z.dtype) for x in (by_h, states, by_last))
    if padding is not None:
        by_h = by_h.masked_fill(padding, 0)
    by_gates = z.new_empty(gates.shape)
    to_z, to_f, *to_rest = by_gates.chunk(count, dim=2)
    # The gradients of the states are written into the memory of the z gradients, which follow
    # from them in place at the end.
    by_states = to_z
    for t in _order(z.shape[1], not reverse):
        if o is None:
            torch.add(carried, by_h[:, t], out=by_states[:, t])
        else:
            torch.addcmul(carried, by_h[:, t], o[:, t], out=by_states[:, t])
        carried = by_states[:, t] * f[:, t]
    by_sigmoid = torch.ops.aten.sigmoid_backward.grad_input
    before = _before(states, _start(z, c0), padding, reverse)
    torch.mul(by_states, before.sub_(z) if i is None else before, out=to_f)
    by_sigmoid(to_f, f, grad_input=to_f)
    if o is not None:
        by_sigmoid(by_h * states, o, grad_input=to_rest[0])
    if i is not None:
        torch.mul(by_states, z, out=to_rest[1])
        by_sigmoid(to_rest[1], i, grad_input=to_rest[1])
    to_z.mul_(f.neg_().add_(1) if i is None else i)
    to_z.mul_(z.square_().neg_().add_(1))  # tanh' = 1 − tanh²
    return by_gates.to(gates.dtype), carried.to(gates.dtype, copy=True)


def _activated(
    gates: Tensor, lengths: Tensor | None, keep: Tensor | None, count: int
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return the activations z, f, o and i, `[B, T, H]` each.

    Steps that keep the state (padding and zoneout) have f = 1 and i = 0. Input and gate gradients
    are multiples of 1 − f or i, so both vanish there.
    """
    if gates.dtype in (torch.bfloat16, torch.float16):
        gates = gates.float()
    z, f, *rest = gates.chunk(count, dim=2)
    z, f = torch.sigmoid(2 * z).mul_(2).sub_(1), torch.sigmoid(f)  # faster than torch.tanh
    o = torch.sigmoid(rest[0]) if rest else None
    i = torch.sigmoid(rest[1]) if count == 4 else None
    padding = _padding(gates, lengths)
    for kept in (padding, keep):
        if kept is not None:
            z.masked_fill_(kept, 0)
            f.masked_fill_(kept, 1)
            if i is not None:
                i.masked_fill_(kept, 0)
    return z, f, o, i


def _padding(gates: Tensor, lengths: Tensor | None) -> Tensor | None:
    """Return the mask of padding steps, `[B, T, 1]` bool; None without padding."""
    if lengths is None:
        return None
    positions = torch.arange(gates.shape[1], device=gates.device)
    return (positions >= lengths.unsqueeze(1)).unsqueeze(-1)


def _start(z: Tensor, c0: Tensor | None) -> Tensor:
    return z.new_zeros(z.shape[0], z.shape[2]) if c0 is None else c0.to(z.dtype)


def _order(steps: int, reverse: bool) -> range:
    return range(steps - 1, -1, -1) if reverse else range(steps)


def _before(states: Tensor, c0: Tensor, padding: Tensor | None, reverse: bool) -> Tensor:
    """Return the state before each step, `[B, T, H]`."""
    first = c0.unsqueeze(1)
    if not reverse:
        return torch.cat([first, states[:, :-1]], dim=1)[:, : states.shape[1]]
    # In reverse, padding comes first: the state there is still c0, while `states` holds zeros.
    if padding is not None:
        states = torch.where(padding, first, states)
    return torch.cat([states[:, 1:], first], dim=1)[:, : states.shape[1]]
