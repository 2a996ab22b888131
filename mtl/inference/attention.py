"""Attention weights of whole sentences. Letters: N weightings, T tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.data.windows import Window
from mtl.heads import HEADS, Head
from mtl.inference.task_prediction import Readout


def merge_attention(
    readouts: Sequence[Readout], windows: Sequence[Window], sides: int
) -> list[Tensor]:
    """Return the attention weights of a sentence, or of both sentences of a pair.

    Args:
        readouts: The outputs of the head for the windows; empty if the sentence has no tokens.
        windows: The windows.
        sides: 1 for a sentence, 2 for a pair.

    Returns:
        Per side `[T]` or `[T, T]`, with N > 1 weightings `[N, T]` or `[N, T, T]`.
    """
    by_side = zip(*(readout.attention for readout in readouts), strict=True)
    return [_merge(side, windows) for side in by_side] or [torch.zeros(0)] * sides


def _merge(weights: Sequence[Tensor], windows: Sequence[Window]) -> Tensor:
    """Merge the weights of windows, `[N, T]` or `[N, T, T]` each.

    Weights of tokens are averaged over the windows, as logits are. A row of a matrix comes from
    the window that keeps its token; windows do not attend to each other.
    """
    first, length = weights[0], windows[-1].end
    # Without several windows there is nothing to merge, so the weights need no copy.
    if len(weights) == 1:
        return _squeeze(first)
    shape = (len(first), length) if first.ndim == 2 else (len(first), length, length)
    whole = first.new_zeros(shape)
    for part, w in zip(weights, windows, strict=True):
        if first.ndim == 2:
            whole[:, w.start : w.end] += part / len(windows)
        else:
            whole[:, w.kept, w.start : w.end] = part[:, w.kept_inside]
    return _squeeze(whole)


def _squeeze(weights: Tensor) -> Tensor:
    return weights[0] if len(weights) == 1 else weights


def rows_of(weights: Tensor) -> list[list[float]]:
    """Return token weights `[T]` or `[N, T]` as N lists."""
    rows: list[list[float]] = (weights if weights.ndim == 2 else weights.unsqueeze(0)).tolist()
    return rows


def heads_with_attention() -> str:
    """Return a phrase for error messages that names the heads with attention."""
    able = {n: c for n, c in HEADS.items() if c.attention_weights is not Head.attention_weights}
    always = ", ".join(name for name, head in able.items() if head.attention_option is None)
    optional: dict[str, list[str]] = {}
    for name, head in able.items():
        if head.attention_option is not None:
            optional.setdefault(head.attention_option, []).append(name)
    by_option = (f"{', '.join(names)} with the option `{o}`" for o, names in optional.items())
    return f"heads that have it: {always}; {'; '.join(by_option)}"
