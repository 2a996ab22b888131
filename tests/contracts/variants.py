"""The parts that a suite runs on: everything in a registry, with default and chosen options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtl.heads import LabelSet, Number
from mtl.options import REQUIRED, options_of
from mtl.registry import Registry
from mtl.targets import LabelSetTarget

Table = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Variant:
    """A part with some of its options chosen."""

    name: str
    cls: type
    options: Mapping[str, Any]

    def __str__(self) -> str:
        """Return the name and the options."""
        return "-".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])

    def make(self, *given: Any, **more: Any) -> Any:
        """Return the part; fail and say what to do if options without default have no value."""
        options = {**self.options, **more}
        required = [o.name for o in options_of(self.cls) if o.default is REQUIRED]
        if missing := [name for name in required if name not in options]:
            pytest.fail(f"{self.name}: add a row to OPTIONS of this suite with {missing}")
        return self.cls(*given, **options)

    def option(self, name: str) -> Any:
        """Return the value that an option has, None if there is no such option."""
        defaults = {option.name: option.default for option in options_of(self.cls)}
        return {**defaults, **self.options}.get(name)


@dataclass(frozen=True)
class OfSets(Variant):
    """A classifier whose sentences have sets of labels."""

    def make(self, in_features: int, labels: Sequence[str], **more: Any) -> Any:
        """Return the part, given the labels that sets may have."""
        return super().make(in_features, LabelSet(labels), **more)


@dataclass(frozen=True)
class OfNumbers(Variant):
    """A classifier whose sentences have numbers."""

    def make(self, in_features: int, labels: Sequence[str], **more: Any) -> Any:
        """Return the part, which has no labels."""
        return super().make(in_features, Number(mean=3, scale=2), **more)


def with_forms(chosen: Sequence[Variant]) -> list[Variant]:
    """Return heads, and each classifier again for sets of labels and for numbers."""
    able = [v for v in chosen if v.cls.accepts(LabelSetTarget)]
    sets = [OfSets(f"sets-{v.name}", v.cls, v.options) for v in able]
    return [*chosen, *sets, *(OfNumbers(f"numbers-{v.name}", v.cls, v.options) for v in able)]


def variants(registry: Registry[Any], table: Table | None = None) -> list[Variant]:
    """Return every part of a registry with the options of each of its rows, by default none."""
    rows = table or {}
    return [
        Variant(name, cls, options)
        for name, cls in registry.items()
        for options in rows.get(name, [{}])
    ]


def over(chosen: Sequence[Variant], every: int = 1) -> pytest.MarkDecorator:
    """Run a test once per variant.

    Quick are the first variant of each part and every n-th of all; the others are slow tests.
    """
    first = {variant.name: i for i, variant in reversed([*enumerate(chosen)])}
    cases = [
        pytest.param(v, marks=[] if i % every == 0 or first[v.name] == i else pytest.mark.slow)
        for i, v in enumerate(chosen)
    ]
    return pytest.mark.parametrize("variant", cases, ids=str)


def prefix_mask(lengths: Sequence[int], width: int | None = None) -> Tensor:
    """Return the mask `[B, T]` of sentences with these lengths."""
    return torch.arange(width or max(lengths)) < torch.tensor(lengths).unsqueeze(1)


def with_garbage(x: Tensor, mask: Tensor, more: int = 0) -> Tensor:
    """Return `x [B, T, H]` with large numbers on its padding and on `more` further tokens."""
    dirty = torch.where(mask.unsqueeze(-1), x, 100 * torch.randn_like(x))
    return torch.cat([dirty, 100 * x.new_ones(len(x), more, x.shape[2])], dim=1)


def widened(mask: Tensor, more: int) -> Tensor:
    """Return the mask with `more` further tokens of padding."""
    return nn.functional.pad(mask, (0, more))


def shaken(module: nn.Module) -> Any:
    """Return the module in double precision, for evaluation, all parameters off their start."""
    module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def ragged_pieces(x: Tensor) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
    """Split each of four texts of a batch into two chunks, at different positions.

    Args:
        x: `[4, 5, D]`.

    Returns:
        The vectors and mask of each piece, padded, and of each text the tokens that are read.
    """
    lengths = [3, 1, 2, 0], [2, 3, 0, 4]
    pieces = [
        (torch.zeros_like(x[:, :width]), prefix_mask(n))
        for width, n in zip((3, 4), lengths, strict=True)
    ]
    for row, (first, rest) in enumerate(zip(*lengths, strict=True)):
        pieces[0][0][row, :first] = x[row, :first]
        pieces[1][0][row, :rest] = x[row, first : first + rest]
    return pieces, [x[i : i + 1, : a + b] for i, (a, b) in enumerate(zip(*lengths, strict=True))]
