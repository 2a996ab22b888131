"""Weights in 8 or 16 bits instead of 32: the large tables and matrices of a model.

Biases, transitions, scales and small matrices stay in 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from mtl.export.layers import WholeQuasi, WholeRecurrent, parametrized_layers, plain
from mtl.layers.qrnn import QRNNLayer

Weights: TypeAlias = Literal["float32", "float16", "int8"]
"""The type of large weights in a file."""
LEAST = 4096
"""The least number of numbers of a large weight."""
_TOP = 127
"""The largest 8-bit number in use; the range is symmetric, so zero stays zero."""
_BY_OUTPUT = (nn.Embedding, nn.EmbeddingBag, nn.Linear, nn.Conv1d, nn.LSTM, nn.GRU, WholeRecurrent)
"""Modules whose weights have one row per word, or per output: `[R, …]`."""
_BY_INPUT = (QRNNLayer,)
"""Modules whose weights have one row per input, and one column per output: `[…, D, N]`."""


class Rounded(NamedTuple):
    """A weight in fewer bits.

    Args:
        numbers: int8 or float16, of the shape of the weight.
        scales: For int8, float32: one per row (or per column, see `large_weights`), with
            dimensions of size 1, so that the weight is numbers · scales; else None.
    """

    numbers: Tensor
    scales: Tensor | None

    def expanded(self) -> Tensor:
        """Return the weight in float32, as the runtime computes it."""
        return self.numbers.float() if self.scales is None else self.numbers.float() * self.scales


def rounded(weight: Tensor, dims: tuple[int, ...], weights: Weights) -> Rounded:
    """Return a weight in fewer bits.

    For int8, the numbers that share a scale are divided by it and rounded to the nearest integer.
    The scale is 1/127 of their largest absolute value, so the error is at most half a scale.

    Args:
        weight: float32.
        dims: The dimensions along which numbers share a scale.
        weights: "float16" or "int8".
    """
    weight = weight.detach()
    if weights == "float16":
        return Rounded(weight.half(), None)
    scales = weight.abs().amax(dims, keepdim=True) / _TOP
    parts = torch.where(scales > 0, weight / scales, 0)
    return Rounded(parts.round().clamp(-_TOP, _TOP).to(torch.int8), scales)


def large_weights(model: nn.Module) -> Iterator[tuple[str, Tensor, tuple[int, ...]]]:
    """Yield the name of each large weight, the weight, and the dimensions that share a scale.

    Large weights are tables of vectors, and matrices and filters that multiply vectors, with at
    least `LEAST` numbers, all of them in the range of float16. Each word of a table and each output
    of a matrix has a scale of its own.
    """
    for prefix, module in model.named_modules():
        found: dict[str, Tensor] = {}
        by_input = isinstance(module, (WholeQuasi, *_BY_INPUT))
        if isinstance(module, WholeQuasi):
            found |= {f"matrices.{name}": w for name, w in module.matrices.named_parameters()}
        elif isinstance(module, _BY_OUTPUT + _BY_INPUT):
            found |= module.named_parameters(recurse=False)
            found |= module.named_buffers(recurse=False)
        for name, weight in found.items():
            if weight.ndim > 1 and weight.numel() >= LEAST and weight.dtype == torch.float32:
                if not weight.half().isfinite().all():
                    continue
                dims = (-2,) if by_input else tuple(range(1, weight.ndim))
                yield f"{prefix}.{name}" if prefix else name, weight, dims


@contextmanager
@torch.no_grad()
def rounded_weights(model: nn.Module, weights: Weights) -> Iterator[None]:
    """Give a model the weights of its file while the context lasts, to measure their effect.

    Args:
        model: The model; afterwards it has its own weights again.
        weights: The type of large weights in the file.
    """
    layers = parametrized_layers(model)
    for name, layer in layers.items():
        model.set_submodule(name, plain(layer))
    kept = [(weight, weight.clone(), dims) for _, weight, dims in large_weights(model)]
    try:
        if weights != "float32":
            for weight, own, dims in kept:
                weight.copy_(rounded(own, dims, weights).expanded())
        yield
    finally:
        for weight, own, _ in kept:
            weight.copy_(own)
        for name, layer in layers.items():
            model.set_submodule(name, layer)
