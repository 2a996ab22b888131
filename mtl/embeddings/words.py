"""One learned vector a word. Letters: B sentences, T tokens, V words, D width."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl.embeddings.base import Embedding
from mtl.layers import EmbeddingDropout
from mtl.options import FilePath, PositiveInt, Probability
from mtl.text.vocabulary import PAD, UNKNOWN, Vocabulary, WordVocabulary


class WordEmbedding(Embedding):
    """A table of word vectors, with embedding dropout (Gal & Ghahramani 2016).

    Args:
        vocabularies: Feature name to vocabulary; "words" is read.
        dim: Width D of the vectors.
        dropout: Probability that a word is dropped from the whole batch; what is kept is scaled
            by 1 / (1 - p). It makes the model rely on characters and context too.
        vectors: File of pretrained vectors in GloVe or word2vec text format, of width `dim`. All
            its words become known words.
        frozen: Whether the vectors stay as they are in training.
    """

    vocabulary = WordVocabulary

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        *,
        dim: PositiveInt = 100,
        dropout: Probability = 0.0,
        vectors: FilePath | None = None,  # read by who knows the words, and given to load_vectors
        frozen: bool = False,
    ) -> None:
        super().__init__()
        (words,) = vocabularies["words"].sizes()
        self.size = dim
        self.dropout = EmbeddingDropout(dropout)
        self.table = nn.Embedding(words, dim, padding_idx=PAD)
        nn.init.uniform_(self.table.weight, -((3 / dim) ** 0.5), (3 / dim) ** 0.5)
        with torch.no_grad():
            self.table.weight[PAD] = 0
        self.table.weight.requires_grad_(not frozen)

    def load_vectors(self, numbers: Tensor, vectors: Tensor) -> None:
        """Set the vectors of some words.

        Args:
            numbers: `[N]` int64, words by number.
            vectors: `[N, D]`.

        Raises:
            ValueError: The vectors have another width.
        """
        if vectors.shape[1] != self.size:
            raise ValueError(f"expected vectors of width {self.size}, got {vectors.shape[1]}")
        with torch.no_grad():
            # Pretrained vectors come at any scale; learned ones start at variance 1 / D.
            scale = vectors.std().clamp(min=1e-8) * self.size**0.5
            self.table.weight[numbers] = vectors / scale
            self.table.weight[UNKNOWN] = (vectors / scale).mean(0)

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`, given `features["words"] [B, T]`."""
        vectors: Tensor = self.dropout(self.table, features["words"])
        # Language models that give words by these vectors change that of the padding, too.
        return vectors.masked_fill(~mask.unsqueeze(2), 0)
