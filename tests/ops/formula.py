"""Pooling as the paper writes it: one step and one sentence at a time."""

from __future__ import annotations

import torch
from torch import Tensor

GATES = {"f": 2, "fo": 3, "ifo": 4}


def by_formula(kind: str, gates: Tensor, c0: Tensor, lengths: list[int], reverse: bool, keep):
    """Bradbury et al. (2017), Eq. 3 to 5, in plain loops."""
    z, f, *rest = gates.chunk(GATES[kind], dim=2)
    h, last = [], []
    for b, length in enumerate(lengths):
        c = c0[b]
        outputs = list(0 * z[b])
        for t in range(length)[:: -1 if reverse else 1]:
            forget = torch.sigmoid(f[b, t])
            put_in = torch.sigmoid(rest[1][b, t]) if kind == "ifo" else 1 - forget
            c = torch.where(keep[b, t], c, forget * c + put_in * torch.tanh(z[b, t]))
            outputs[t] = c * torch.sigmoid(rest[0][b, t]) if rest else c
        h.append(torch.stack(outputs) if outputs else z[b])
        last.append(c)
    return torch.stack(h), torch.stack(last)


def both_ways(
    kind: str,
    gates: Tensor,
    c0: Tensor,
    lengths: list[int],
    reverse: bool,
    keep: Tensor,
    directions: int,
) -> tuple[Tensor, Tensor]:
    """The same for two concatenated directions; the second one is reversed."""
    parts = zip(*(x.chunk(directions, dim=-1) for x in (gates, c0, keep)), strict=True)
    found = [
        by_formula(kind, part, start, lengths, reverse != (way == 1), kept)
        for way, (part, start, kept) in enumerate(parts)
    ]
    h, last = zip(*found, strict=True)
    return torch.cat(h, dim=-1), torch.cat(last, dim=-1)
