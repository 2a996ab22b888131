"""Pooling in plain torch: the measure of the fast kernels, and what runs where there are none.

The activations of all steps at once, then one fused operation a step, without a graph node a step.
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
    """Compute `torch.ops.mtl.pool`; arguments and results are told there."""
    ways = _ways(directions, reverse, gates, c0, keep)
    found = [
        _forward(gates, c0, lengths, keep, count, reverse, save)
        for reverse, gates, c0, keep in ways
    ]
    h, last, states = (_joined(parts) for parts in zip(*found, strict=True))
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
    """Compute `torch.ops.mtl.pool_backward`; arguments and results are told there."""
    ways = _ways(directions, reverse, by_h, by_last, gates, c0, keep, states)
    found = [
        _backward(by_h, by_last, gates, c0, lengths, keep, states, count, reverse)
        for reverse, by_h, by_last, gates, c0, keep, states in ways
    ]
    by_gates, by_c0 = (_joined(parts) for parts in zip(*found, strict=True))
    return by_gates, by_c0


def pool_backward_in_place_reference(
    by_h: Tensor, by_last: Tensor, gates: Tensor, *rest: Any
) -> Tensor:
    """Compute `torch.ops.mtl.pool_backward_`; arguments and results are told there."""
    by_gates, by_c0 = pool_backward_reference(by_h, by_last, gates, *rest)
    gates.copy_(by_gates)
    return by_c0


def _ways(directions: int, reverse: bool, *rows: Tensor | None) -> Iterator[tuple[Any, ...]]:
    """Yield what belongs to each direction: whether it is reversed, and its part of each row."""
    for way in range(directions):
        parts = (None if x is None else x.chunk(directions, dim=-1)[way] for x in rows)
        yield reverse != (way == 1), *parts


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
    forget, update, output = _steps(gates, lengths, keep, count)[:3]
    c = _start(update, c0)
    states = torch.empty_like(update)
    for t in _order(update.shape[1], reverse):
        c = torch.addcmul(update[:, t], forget[:, t], c, out=states[:, t])
    h = states if output is None else output * states
    real = _real(gates, lengths)
    if real is not None:
        h = h * real
    last = c.to(gates.dtype, copy=True)
    if not save or output is None:
        return h.to(gates.dtype), last, gates.new_empty(0)
    saved = states if real is None else states * real
    return h.to(gates.dtype), last, saved.to(gates.dtype)


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
    forget, update, output, kept, z, f, i = _steps(gates, lengths, keep, count)
    real = _real(gates, lengths)
    by_h = by_h.to(update.dtype) if real is None else by_h.to(update.dtype) * real
    states = states.to(update.dtype)
    by_states = by_h if output is None else by_h * output
    by_update = torch.empty_like(states)
    carried = by_last.to(update.dtype)
    for t in _order(states.shape[1], not reverse):
        torch.add(by_states[:, t], carried, out=by_update[:, t])
        carried = by_update[:, t] * forget[:, t]
    before = _before(states, _start(update, c0), real, reverse)
    through = by_update if kept is None else by_update.masked_fill(kept, 0)
    # σ' = σ·(1 − σ) and tanh' = 1 − tanh²
    by_z = through * (i if count == 4 else 1 - f) * (1 - z * z)
    by_f = through * (before if count == 4 else before - z) * f * (1 - f)
    parts = [by_z, by_f]
    if output is not None:
        parts.append(by_h * states * output * (1 - output))
    if count == 4:
        parts.append(through * z * i * (1 - i))
    return torch.cat(parts, dim=2).to(gates.dtype), carried.to(gates.dtype, copy=True)


def _steps(
    gates: Tensor, lengths: Tensor | None, keep: Tensor | None, count: int
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor, Tensor, Tensor]:
    """Return forget gate and update of each step, output gate, where the state stays, z, f, i."""
    if gates.dtype in (torch.bfloat16, torch.float16):
        gates = gates.float()
    z, f, *rest = gates.chunk(count, dim=2)
    z, f = torch.tanh(z), torch.sigmoid(f)
    output = torch.sigmoid(rest[0]) if rest else None
    i = torch.sigmoid(rest[1]) if count == 4 else 1 - f
    real = _real(gates, lengths)
    if real is not None:
        keep = ~real if keep is None else keep | ~real
    forget, update = f, i * z
    if keep is not None:
        forget, update = forget.masked_fill(keep, 1), update.masked_fill(keep, 0)
    return forget, update, output, keep, z, f, i


def _real(gates: Tensor, lengths: Tensor | None) -> Tensor | None:
    """Return which steps are real, `[B, T, 1]`."""
    if lengths is None:
        return None
    positions = torch.arange(gates.shape[1], device=gates.device)
    return (positions < lengths.unsqueeze(1)).unsqueeze(-1)


def _start(update: Tensor, c0: Tensor | None) -> Tensor:
    return update.new_zeros(update.shape[0], update.shape[2]) if c0 is None else c0.to(update.dtype)


def _order(steps: int, reverse: bool) -> range:
    return range(steps - 1, -1, -1) if reverse else range(steps)


def _before(states: Tensor, c0: Tensor, real: Tensor | None, reverse: bool) -> Tensor:
    """Return the state before each step, `[B, T, H]`."""
    first = c0.unsqueeze(1)
    if not reverse:
        return torch.cat([first, states[:, :-1]], dim=1)[:, : states.shape[1]]
    if real is not None:  # on the padding, from which reading in reverse begins, nothing is saved
        states = torch.where(real, states, first)
    return torch.cat([states[:, 1:], first], dim=1)[:, : states.shape[1]]
