"""Differentiated softmax. Letters: N tokens, H width, V words, C bands of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from mtl.layers.adaptive import check_cutoffs
from mtl.layers.linear_cross_entropy import check_targets, log_normaliser
from mtl.layers.next_word import NextWord


class DifferentiatedSoftmax(NextWord):
    """Softmax in which rare words read fewer units of the hidden state (Chen et al. 2016).

    The words are sorted by frequency and cut into bands, and the hidden state is cut into one part
    per band. The score of a word is the product of its vector with the part of its band; one
    softmax compares all words. Band i, counted from 0, has H / div_valueⁱ units, scaled to a sum of
    H. In the paper the hidden layer before it has the same parts.

    Args:
        in_features: Width H of the hidden states.
        num_words: The number of words V, sorted by frequency.
        cutoffs: The id of the first word of each band but the first, increasing.
        div_value: The factor by which each band is narrower than the previous one.

    Raises:
        ValueError: The cutoffs do not increase between 0 and V, or H is less than the number of
            bands.
    """

    def __init__(
        self,
        in_features: int,
        num_words: int,
        *,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
    ) -> None:
        super().__init__(in_features, num_words)
        check_cutoffs(cutoffs, num_words)
        bands = len(cutoffs) + 1
        if in_features < bands:
            raise ValueError(
                f"in_features: expected one unit per band of words, {bands}, got {in_features}"
            )
        total = sum(div_value**-i for i in range(bands))
        rest = [max(1, int(in_features * div_value**-i / total)) for i in range(1, bands)]
        self.widths = [in_features - sum(rest), *rest]
        self.ends = [0, *cutoffs, num_words]
        self.bands = nn.ModuleList(
            nn.Linear(width, end - start)
            for width, (start, end) in zip(self.widths, pairwise(self.ends), strict=True)
        )

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return −log p(target) of each token in nats, `[N]`."""
        check_targets(targets, self.num_words)
        normalisers, picked = [], hidden.new_zeros(len(hidden))
        for part, start, words in self._parts(hidden):
            normalisers.append(log_normaliser(part, words.weight, words.bias))
            inside = (targets >= start) & (targets < start + words.out_features)
            (rows,) = inside.nonzero(as_tuple=True)
            own = targets[rows] - start
            vectors = nn.functional.embedding(own, words.weight)
            scores = (part[rows] * vectors).sum(1) + words.bias[own]
            picked = picked.index_add(0, rows, scores)
        return torch.stack(normalisers).logsumexp(0) - picked

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of all words, `[N, V]`."""
        scores = [words(part) for part, _, words in self._parts(hidden)]
        return torch.cat(scores, dim=1).log_softmax(1)

    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return the word ids of the rows of each band."""
        return {
            f"bands.{i}.{name}": range(start, end)
            for i, (start, end) in enumerate(pairwise(self.ends))
            for name in ("weight", "bias")
        }

    def _parts(self, hidden: Tensor) -> list[tuple[Tensor, int, nn.Linear]]:
        """Return the part of the hidden states, the first word and the vectors of each band."""
        parts = torch.split(hidden, self.widths, dim=1)
        bands = cast("Sequence[nn.Linear]", self.bands)
        return [*zip(parts, self.ends, bands, strict=False)]
