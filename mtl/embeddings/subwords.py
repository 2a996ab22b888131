"""Vectors of words from their BPE subwords. Letters: U distinct words, S subwords."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mtl.embeddings.base import Embedding, spread
from mtl.options import PositiveInt
from mtl.text.vocabulary import PAD, SubwordVocabulary, Vocabulary


class SubwordEmbedding(Embedding):
    """The mean of the vectors of a word's subwords (BPE: Sennrich et al. 2016).

    Args:
        vocabularies: Feature name to vocabulary; "subwords" is read.
        dim: Width D of the vectors.
    """

    vocabulary = SubwordVocabulary

    def __init__(self, vocabularies: Mapping[str, Vocabulary], *, dim: PositiveInt = 50) -> None:
        super().__init__()
        (pieces,) = vocabularies["subwords"].sizes()
        self.size = dim
        self.table = nn.EmbeddingBag(pieces, dim, mode="mean", padding_idx=PAD)

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`, given `features["subwords"] [U, S]` and `features["types"]`."""
        return spread(self.table(features["subwords"]), features["types"])
