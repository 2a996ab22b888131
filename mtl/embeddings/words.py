"""One learned vector a word. Letters: B sentences, T tokens, V words, D width."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

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
        multichannel: Whether a copy of the vectors as they are before training stands beside those
            that learn (Kim 2014), so that rare words keep what they were pretrained to mean. The
            output is twice as wide.
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
        multichannel: bool = False,
    ) -> None:
        if frozen and multichannel:
            raise ValueError("frozen: with multichannel a copy is frozen, and only that")
        super().__init__()
        (words,) = vocabularies["words"].sizes()
        self.size = 2 * dim if multichannel else dim
        self.dropout = EmbeddingDropout(dropout)
        kind = TwoChannels if multichannel else nn.Embedding
        self.table = kind(words, dim, padding_idx=PAD)
        nn.init.uniform_(self.table.weight, -((3 / dim) ** 0.5), (3 / dim) ** 0.5)
        with torch.no_grad():
            self.table.weight[PAD] = 0
        self.table.weight.requires_grad_(not frozen)
        self._fix()

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
        self._fix()

    def _fix(self) -> None:
        if isinstance(self.table, TwoChannels):
            self.table.fixed.copy_(self.table.weight.detach())

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`, or `[B, T, 2 D]`, given `features["words"] [B, T]`."""
        vectors: Tensor = self.dropout(self.table, features["words"])
        # Language models that give words by these vectors change that of the padding, too.
        return vectors.masked_fill(~mask.unsqueeze(2), 0)


class TwoChannels(nn.Embedding):
    """A table of vectors that learn, beside one of vectors that stay (Kim 2014).

    Args:
        num_embeddings: The number of words V.
        embedding_dim: Width D of each channel.
        padding_idx: The number of padding.
    """

    fixed: Tensor

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.register_buffer("fixed", torch.zeros(num_embeddings, embedding_dim))

    def forward(self, words: Tensor) -> Tensor:
        """Return `[…, 2 D]`, the channel that learns first."""
        return torch.cat([super().forward(words), functional.embedding(words, self.fixed)], dim=-1)
