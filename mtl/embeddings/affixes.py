"""Vectors of prefixes, suffixes and shapes. Letters: U distinct words."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl.embeddings.base import Embedding, spread
from mtl.options import PositiveInt
from mtl.text.vocabulary import PAD, AffixVocabulary, Vocabulary


class AffixEmbedding(Embedding):
    """Learned vectors for a word's prefix, suffixes and shape, side by side.

    The features of classical taggers (Ratnaparkhi 1996) as embeddings; cheap, and strong for small
    training sets.

    Args:
        vocabularies: Feature name to vocabulary; "affixes" is read.
        dim: Width of each of the four vectors.
    """

    vocabulary = AffixVocabulary

    def __init__(self, vocabularies: Mapping[str, Vocabulary], *, dim: PositiveInt = 20) -> None:
        super().__init__()
        sizes = vocabularies["affixes"].sizes()
        self.size = dim * len(sizes)
        self.tables = nn.ModuleList(nn.Embedding(n, dim, padding_idx=PAD) for n in sizes)

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`, given `features["affixes"] [U, 4]` and `features["types"]`."""
        columns = features["affixes"].unbind(1)
        vectors = [table(column) for table, column in zip(self.tables, columns, strict=True)]
        return spread(torch.cat(vectors, dim=1), features["types"])
