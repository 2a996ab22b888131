"""Comparison of the two sentences of a pair. Letters: B pairs, P width of a sentence vector."""

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
    """The labels of a classifier that compares two sentences.

    Args:
        labels: The label names, for one label per pair; or the objective for sets or numbers.
        compare: The features that are computed from both vectors; see `Comparison`.
        cross_attention: Whether the tokens attend to the other sentence first; see
            `CrossAttention`.
    """

    def __init__(
        self,
        labels: Sequence[str] | Objective,
        compare: Sequence[PairPart] = PARTS,
        cross_attention: bool = False,
    ) -> None:
        self.labels = labels
        self.compare = tuple(compare)
        self.cross_attention = cross_attention


Labelling: TypeAlias = Sequence[str] | Objective | Pairs
"""The label names for one label per sentence; the objective for sets or numbers; or pairs."""


class Comparison(nn.Module):
    """Combines two vectors into one: [u; v; |u − v|; u ∘ v], or parts of it (Conneau et al. 2017).

    Args:
        compare: "both" for u and v themselves, "difference" for |u − v|, "product" for u ∘ v. The
            last two are symmetric: they do not depend on the order of the sentences.
    """

    def __init__(self, compare: Sequence[PairPart] = PARTS) -> None:
        super().__init__()
        if not compare or len(set(compare)) < len(compare):
            raise OptionError("compare", f"expected different parts, got {list(compare)}")
        self.compare = tuple(compare)
        self.factor = len(self.compare) + ("both" in self.compare)
        """The width of the result, as a multiple of P."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Return `[B, factor P]` from `[2 B, P]`: all first sentences, then all second ones."""
        u, v = vectors.chunk(2)
        parts = {"both": torch.cat([u, v], 1), "difference": (u - v).abs(), "product": u * v}
        return torch.cat([parts[name] for name in self.compare], 1)
