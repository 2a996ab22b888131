"""Pairs of sentences. Letters: B pairs, P width of a sentence vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.targets.objectives import Objective

PairPart: TypeAlias = Literal["both", "difference", "product"]

PARTS: tuple[PairPart, ...] = ("both", "difference", "product")


class Pairs:
    """Says that a classifier compares two sentences, and what labels a pair has.

    Args:
        labels: The names of labels, of which a pair has one, or what else it has.
        compare: What is read of both vectors; see `Comparison`.
    """

    def __init__(
        self, labels: Sequence[str] | Objective, compare: Sequence[PairPart] = PARTS
    ) -> None:
        self.labels = labels
        self.compare = tuple(compare)


Labelling: TypeAlias = Sequence[str] | Objective | Pairs
"""The names of labels, of which a sentence has one; or what else a sentence or a pair has."""


class Comparison(nn.Module):
    """One vector of two: [u; v; |u − v|; u ∘ v], or parts of it (Conneau et al. 2017).

    Args:
        compare: "both" for u and v themselves, "difference" for |u − v|, "product" for u ∘ v. The
            latter two do not see which sentence came first.
    """

    def __init__(self, compare: Sequence[PairPart] = PARTS) -> None:
        super().__init__()
        if not compare or len(set(compare)) < len(compare):
            raise OptionError("compare", f"expected different parts, got {list(compare)}")
        self.compare = tuple(compare)
        self.factor = len(self.compare) + ("both" in self.compare)
        """How many times as wide as one vector the result is."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Return `[B, factor P]`, given the vectors of all first sentences, then of all second."""
        u, v = vectors.chunk(2)
        parts = {"both": torch.cat([u, v], 1), "difference": (u - v).abs(), "product": u * v}
        return torch.cat([parts[name] for name in self.compare], 1)
