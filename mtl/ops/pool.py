"""Pooling of quasi-recurrent networks. Letters: B sentences, T tokens, H width.

Reference implementation in torch: the activations of all steps at once, then one fused
multiply-add a step, forwards and backwards, without a graph node a step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Scan(torch.autograd.Function):
    """c_t = a_t · c_{t-1} + b_t along the second dimension, in either direction."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, c0: Tensor, reverse: bool) -> Tensor:
        states = torch.empty_like(b)
        c = c0
        for t in _order(b.shape[1], reverse):
            c = torch.addcmul(b[:, t], a[:, t], c, out=states[:, t])
        ctx.save_for_backward(a, states, c0)
        ctx.reverse = reverse
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        a, states, c0 = ctx.saved_tensors
        by_update = torch.empty_like(states)
        carried = torch.zeros_like(c0)
        for t in _order(states.shape[1], not ctx.reverse):
            torch.add(gradient[:, t], carried, out=by_update[:, t])
            carried = by_update[:, t] * a[:, t]
        return by_update * _before(states, c0, ctx.reverse), by_update, carried, None


def _order(steps: int, reverse: bool) -> range:
    return range(steps - 1, -1, -1) if reverse else range(steps)


def _before(states: Tensor, c0: Tensor, reverse: bool) -> Tensor:
    """Return the state before each step, `[B, T, H]`."""
    first = c0.unsqueeze(1)
    if reverse:
        return torch.cat([states[:, 1:], first], dim=1)[:, : states.shape[1]]
    return torch.cat([first, states[:, :-1]], dim=1)[:, : states.shape[1]]


def _pool(
    update: Tensor,
    forget: Tensor,
    keep: Tensor | None,
    c0: Tensor | None,
    lengths: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the states `[B, T, H]`, the last one `[B, H]`, and which steps are real `[B, T, 1]`.

    Args:
        update: `[B, T, H]`: what is added at each step, before the zoneout.
        forget: `[B, T, H]`: how much of the state is kept.
        keep: Where the zoneout keeps the state, `[B, T, H]` bool; None: nowhere.
        c0: State before the first step; None: zero.
        lengths: `[B]`; None: all steps are real.
        reverse: Whether to go from the last step to the first.
    """
    batch, steps, width = update.shape
    real = None
    if lengths is not None:
        positions = torch.arange(steps, device=update.device)
        real = (positions < lengths.unsqueeze(1)).unsqueeze(-1)
        keep = ~real if keep is None else keep | ~real
    if keep is not None:
        forget = torch.where(keep, torch.ones_like(forget), forget)
        update = torch.where(keep, torch.zeros_like(update), update)
    start = update.new_zeros(batch, width) if c0 is None else c0.to(update.dtype)
    if steps == 0:
        return update, start, real
    states: Tensor = _Scan.apply(forget, update, start, reverse)  # type: ignore[no-untyped-call]
    return states, states[:, 0 if reverse else -1], real


def _finish(h: Tensor, real: Tensor | None) -> Tensor:
    return h if real is None else h * real


def _gates(gates: Tensor, count: int) -> tuple[Tensor, ...]:
    if gates.dim() != 3 or gates.shape[2] % count:
        raise ValueError(f"gates: expected [B, T, {count}·H], got {list(gates.shape)}")
    return gates.chunk(count, dim=2)


def fo_pool(
    gates: Tensor,
    c0: Tensor | None = None,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    zoneout_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Forget and output gate (Bradbury et al. 2017, Eq. 4).

    c_t = σ(f)·c_{t-1} + (1 − σ(f))·tanh(z), h_t = σ(o)·c_t

    The gate says how much of the past is *kept*, as in the paper; the code released with it has
    it the other way round.

    Args:
        gates: `[B, T, 3H]`, before the activations, in the order z, f, o.
        c0: `[B, H]`, the state before the first step; None: zero.
        lengths: `[B]` int64, the real steps of each sentence, which come first; None: all. Steps
            past them leave c as it is and give h = 0.
        reverse: Whether to go from the last step to the first.
        zoneout_mask: `[B, T, H]` bool, True where the state is kept as it is (Krueger et al.
            2017).

    Returns:
        h `[B, T, H]` and the last state c `[B, H]`.

    Raises:
        ValueError: The shape of `gates` does not fit.
    """
    z, f, o = _gates(gates, 3)
    forget = torch.sigmoid(f)
    update = (1 - forget) * torch.tanh(z)
    states, last, real = _pool(update, forget, zoneout_mask, c0, lengths, reverse)
    return _finish(torch.sigmoid(o) * states, real), last


def f_pool(
    gates: Tensor,
    c0: Tensor | None = None,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    zoneout_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Forget gate alone (Bradbury et al. 2017, Eq. 3): h_t = c_t.

    c_t = σ(f)·c_{t-1} + (1 − σ(f))·tanh(z)

    Arguments, results and errors as `fo_pool`, with gates `[B, T, 2H]` in the order z, f.
    """
    z, f = _gates(gates, 2)
    forget = torch.sigmoid(f)
    update = (1 - forget) * torch.tanh(z)
    states, last, real = _pool(update, forget, zoneout_mask, c0, lengths, reverse)
    return _finish(states, real), last


def ifo_pool(
    gates: Tensor,
    c0: Tensor | None = None,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    zoneout_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Input, forget and output gate (Bradbury et al. 2017, Eq. 5).

    c_t = σ(f)·c_{t-1} + σ(i)·tanh(z), h_t = σ(o)·c_t

    Arguments, results and errors as `fo_pool`, with gates `[B, T, 4H]` in the order z, f, o, i.
    Where the zoneout keeps the state, nothing is put in either.
    """
    z, f, o, i = _gates(gates, 4)
    update = torch.sigmoid(i) * torch.tanh(z)
    states, last, real = _pool(update, torch.sigmoid(f), zoneout_mask, c0, lengths, reverse)
    return _finish(torch.sigmoid(o) * states, real), last
