"""The operators over rows of a table in plain torch. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mtl.ops.pool_reference import pool_reference


def pool_rows_reference(
    table: Tensor,
    ids: Tensor,
    lengths: Tensor,
    start: Tensor | None,
    window: int,
    count: int,
    reverse: bool,
    directions: int,
) -> Tensor:
    """Return `[B, T, directions · H]`; arguments as the operator `mtl::pool_rows`."""
    rows = functional.embedding(ids, table).float()
    real = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)
    rows = rows.masked_fill(~real.unsqueeze(2), 0)
    parts = rows.view(*ids.shape, window, directions, -1)
    gates = torch.zeros_like(parts[:, :, 0])
    for direction in range(directions):
        backwards = reverse != (direction == 1)
        for back in range(window):
            # A negative pad removes rows at the other end.
            shift = (0, 0, -back, back) if backwards else (0, 0, back, -back)
            gates[:, :, direction] += functional.pad(parts[:, :, back, direction], shift)
    first = None if start is None else start.expand(len(ids), -1)
    kind = count, reverse, directions, False
    return pool_reference(gates.flatten(2), first, lengths, None, *kind)[0]


def cell_rows_reference(
    table: Tensor,
    ids: Tensor,
    lengths: Tensor,
    start: Tensor | None,
    weights: Tensor,
    bias: Tensor | None,
    count: int,
    reverse: bool,
    directions: int,
) -> Tensor:
    """Return `[B, T, directions · H]`; arguments as the operator `mtl::cell_rows`."""
    rows = functional.embedding(ids, table).float().view(*ids.shape, directions, count, -1)
    width = rows.shape[-1]
    real = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)
    outputs = rows.new_zeros(*ids.shape, directions, width)
    for direction in range(directions):
        matrix = weights[direction].view(count * width, width)
        states = rows.new_zeros(count - 2, len(ids), width)
        if start is not None:
            own = start.view(count - 2, directions, width)[:, direction]
            states = own.unsqueeze(1).expand_as(states)
        backwards = reverse != (direction == 1)
        steps = range(ids.shape[1])
        for t in reversed(steps) if backwards else steps:
            by_state = (states[0] @ matrix.t()).view(-1, count, width)
            x = rows[:, t, direction]
            if bias is None:
                new = _lstm_step(x + by_state, states[1])
            else:
                new = _gru_step(x, by_state, bias[direction], states[0])
            states = torch.where(real[:, t, None], new, states)
            outputs[:, t, direction] = states[0] * real[:, t, None]
    return outputs.flatten(2)


def _lstm_step(gates: Tensor, c: Tensor) -> Tensor:
    """Return the new h and c, `[2, B, H]`, from `[B, 4, H]`."""
    i, f, g, o = gates.unbind(1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return torch.stack([o.sigmoid() * c.tanh(), c])


def _gru_step(x: Tensor, by_state: Tensor, bias: Tensor, h: Tensor) -> Tensor:
    """Return the new h, `[1, B, H]`, from two `[B, 3, H]`."""
    reset, update = (x[:, :2] + by_state[:, :2]).sigmoid().unbind(1)
    new = (x[:, 2] + reset * (by_state[:, 2] + bias)).tanh()
    return torch.lerp(new, h, update).unsqueeze(0)
