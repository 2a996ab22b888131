"""One learned vector per word. Letters: B sentences, T tokens, V words, D width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.embeddings.base import Embedding
from mtl.errors import OptionError
from mtl.layers import EmbeddingDropout
from mtl.options import Default, FilePath, PositiveInt, Probability, RunContext
from mtl.text.vocabulary import PAD, UNKNOWN, Vocabulary, WordVocabulary


class WordRecipe(TypedDict, total=False):
    """Options that the library follows when it builds an embedding of words.

    Args:
        vectors: File of pretrained vectors in GloVe or word2vec text format, of width `dim`. All
            its words become known words.
    """

    vectors: Annotated[FilePath | None, Default(None)]


class WordEmbedding(Embedding):
    """A table of word vectors, with embedding dropout (Gal & Ghahramani 2016).

    Args:
        vocabularies: Feature name to vocabulary; "words" is read.
        dim: Width D of the vectors.
        dropout: Probability that a word is dropped from the whole batch; the vectors of the other
            words are scaled by 1 / (1 - p). It makes the model rely on characters and context too.
        frozen: Whether the vectors are fixed in training.
        multichannel: Whether the output contains a fixed copy of the initial vectors beside the
            trained ones (Kim 2014), so that rare words keep their pretrained meaning. The output is
            twice as wide.
    """

    vocabulary = WordVocabulary
    recipe = WordRecipe

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        *,
        dim: PositiveInt = 100,
        dropout: Probability = 0.0,
        frozen: bool = False,
        multichannel: bool = False,
    ) -> None:
        if frozen and multichannel:
            raise OptionError(
                "frozen", "expected false with multichannel, which freezes a copy instead"
            )
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

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note for a fixed copy of random vectors."""
        if options["multichannel"] and not cls.vectors_file(options) and not context.starts:
            yield "multichannel keeps a copy of random vectors, since no vectors are given"

    @property
    def word_table(self) -> nn.Parameter:
        """The trained vectors, `[V, D]`."""
        weight = self.table.weight
        assert isinstance(weight, nn.Parameter)
        return weight

    @classmethod
    def vectors_file(cls, options: Mapping[str, Any]) -> str | None:
        """Return the option `vectors`."""
        path: str | None = options.get("vectors")
        return path

    @classmethod
    def check_vectors(cls, options: Mapping[str, Any], width: int) -> None:
        """Raise OptionError if pretrained vectors are not as wide as `dim`."""
        if width != options["dim"]:
            path, dim = cls.vectors_file(options), options["dim"]
            raise OptionError("dim", f"{path} has vectors of width {width}, got {dim}")

    def load_vectors(self, numbers: Tensor, vectors: Tensor) -> None:
        """Set the vectors of some words.

        Args:
            numbers: `[N]` int64, ids of words.
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
        # Language models that predict words by these vectors also change the vector of padding.
        return vectors.masked_fill(~mask.unsqueeze(2), 0)


class TwoChannels(nn.Embedding):
    """A table of trained vectors beside a table of fixed vectors (Kim 2014).

    Args:
        num_embeddings: The number of words V.
        embedding_dim: Width D of each channel.
        padding_idx: The id of padding.
    """

    fixed: Tensor

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.register_buffer("fixed", torch.zeros(num_embeddings, embedding_dim))

    def forward(self, words: Tensor) -> Tensor:
        """Return `[…, 2 D]`, the trained channel first."""
        return torch.cat([super().forward(words), functional.embedding(words, self.fixed)], dim=-1)
