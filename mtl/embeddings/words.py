"""One learned vector a word. Letters: B sentences, T tokens, V words, D width."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.embeddings.base import Embedding
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
        multichannel: Whether a copy of the vectors as they are before training stands beside those
            that learn (Kim 2014), so that rare words keep what they were pretrained to mean. The
            output is twice as wide.
    """

    vocabulary = WordVocabulary
    fixed: Tensor | None

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        *,
        dim: PositiveInt = 100,
        dropout: Probability = 0.0,
        vectors: FilePath | None = None,  # read by who knows the words, and given to load_vectors
        frozen: bool = False,
        multichannel: bool = False,
    ) -> None:
        if frozen and multichannel:
            raise ValueError("frozen: with multichannel a copy is frozen, and only that")
        super().__init__()
        (words,) = vocabularies["words"].sizes()
        self.size = 2 * dim if multichannel else dim
        self.dropout = dropout
        self.table = nn.Embedding(words, dim, padding_idx=PAD)
        nn.init.uniform_(self.table.weight, -((3 / dim) ** 0.5), (3 / dim) ** 0.5)
        with torch.no_grad():
            self.table.weight[PAD] = 0
        self.table.weight.requires_grad_(not frozen)
        self.register_buffer("fixed", self.table.weight.detach().clone() if multichannel else None)

    def load_vectors(self, numbers: Tensor, vectors: Tensor) -> None:
        """Set the vectors of some words.

        Args:
            numbers: `[N]` int64, words by number.
            vectors: `[N, D]`.

        Raises:
            ValueError: The vectors have another width.
        """
        width = self.table.embedding_dim
        if vectors.shape[1] != width:
            raise ValueError(f"expected vectors of width {width}, got {vectors.shape[1]}")
        with torch.no_grad():
            # Pretrained vectors come at any scale; learned ones start at variance 1 / D.
            scale = vectors.std().clamp(min=1e-8) * width**0.5
            self.table.weight[numbers] = vectors / scale
            self.table.weight[UNKNOWN] = (vectors / scale).mean(0)
            if self.fixed is not None:
                self.fixed.copy_(self.table.weight)

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`, or `[B, T, 2 D]`, given `features["words"] [B, T]`."""
        words = features["words"]
        vectors: Tensor = self.table(words)
        if self.fixed is not None:
            vectors = torch.cat([vectors, functional.embedding(words, self.fixed)], dim=2)
        if self.training and self.dropout:
            keep = 1 - self.dropout
            kept = vectors.new_empty(self.table.num_embeddings, 1).bernoulli_(keep)
            vectors = vectors * functional.embedding(words, kept / keep)
        return vectors
