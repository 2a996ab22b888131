"""One learned vector per word.

Letters: B sentences, T tokens, V words with trained vectors, E further words, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.embeddings.base import Embedding
from mtl.errors import OptionError
from mtl.layers import EmbeddingDropout
from mtl.options import Default, FilePath, PositiveInt, Probability, Requires, RunContext
from mtl.text.vocabulary import PAD, UNKNOWN, Vocabulary, WordVocabulary

_TOGETHER = 1 << 15
"""Vectors that are copied at once."""


class WordRecipe(TypedDict, total=False):
    """Options that the library follows when it builds an embedding of words.

    Args:
        vectors: File of pretrained vectors of width `dim`: text of GloVe, word2vec or fastText,
            `.bin` of word2vec, `.npy` beside a list of words, or `.safetensors`, which `mtl
            vectors` writes. A word without a vector gets the vector of its lower-case form.
        keep: The words of the file that stay known: all of them, or only the words of the training
            text. Vectors of words outside of the training text are not trained.
    """

    vectors: Annotated[FilePath | None, Default(None)]
    keep: Annotated[Literal["all", "text"], Default("all"), Requires("vectors")]


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
        vocabulary = vocabularies["words"]
        assert isinstance(vocabulary, WordVocabulary)
        self.size = 2 * dim if multichannel else dim
        self.dropout = EmbeddingDropout(dropout)
        self.table = VectorTable(
            vocabulary.trained, dim, PAD, extra=vocabulary.extra, two_channels=multichannel
        )
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
    def keeps_all_vectors(cls, options: Mapping[str, Any]) -> bool:
        """Return whether `keep` is "all"."""
        keep: str = options["keep"]
        return keep == "all"

    @classmethod
    def vectors_of_text(
        cls, options: Mapping[str, Any], words: Iterable[str]
    ) -> Callable[[str], bool]:
        """Return a function that compares normalised forms, in lower case too."""
        normalise = WordVocabulary((), options["lowercase"], options["digits"]).normalise
        text = {normalise(form) for word in words for form in (word, word.lower())}
        return lambda word: normalise(word) in text

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
        # Pretrained vectors come at any scale; learned ones start at variance 1 / D.
        scale = vectors.std().clamp(min=1e-8) * width**0.5
        # In parts: a scaled copy of all vectors could be as large as the model.
        for start in range(0, len(numbers), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            self.table.set_rows(numbers[part], vectors[part] / scale)
        with torch.no_grad():
            self.table.weight[UNKNOWN] = vectors.mean(0) / scale
        self._fix()

    def _fix(self) -> None:
        if self.table.fixed is not None:
            self.table.fixed.copy_(self.table.weight.detach())

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`, or `[B, T, 2 D]`, given `features["words"] [B, T]`."""
        vectors: Tensor = self.dropout(self.table, features["words"])
        # Language models that predict words by these vectors also change the vector of padding.
        return vectors.masked_fill(~mask.unsqueeze(2), 0)


class VectorTable(nn.Embedding):
    """A table of V trained vectors, followed by E vectors that are never trained.

    The second part contains the words that the training text lacks, from a file of vectors or from
    an earlier run. It has no gradients and no state of an optimiser, so a step of training takes
    the same time for any E.

    Args:
        num_embeddings: The number of trained vectors V.
        embedding_dim: Width D of a vector.
        padding_idx: The id of padding.
        extra: The number of further vectors E.
        two_channels: Whether the output contains a fixed copy of the initial vectors too (Kim
            2014). Both channels of a vector that is never trained are equal.
    """

    constants: ClassVar[tuple[str, ...]] = ("fixed", "extra")
    """The tensors that training never changes."""
    fixed: Tensor | None
    extra: Tensor | None

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int,
        *,
        extra: int = 0,
        two_channels: bool = False,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        fixed = torch.zeros(num_embeddings, embedding_dim) if two_channels else None
        self.register_buffer("fixed", fixed)
        self.register_buffer("extra", torch.zeros(extra, embedding_dim) if extra else None)

    @torch.no_grad()
    def set_rows(self, words: Tensor, vectors: Tensor) -> None:
        """Set the vectors `[N, D]` of words `[N]`."""
        trained = words < self.num_embeddings
        self.weight[words[trained]] = vectors[trained].to(self.weight)
        if self.extra is not None:
            rows = words[~trained] - self.num_embeddings
            self.extra[rows] = vectors[~trained].to(self.extra)

    def forward(self, words: Tensor) -> Tensor:
        """Return `[…, D]`, or `[…, 2 D]` with the trained channel first."""
        tables = [self.weight] if self.fixed is None else [self.weight, self.fixed]
        if self.extra is None:
            rows = [functional.embedding(words, table, self.padding_idx) for table in tables]
            return torch.cat(rows, dim=-1) if rows[1:] else rows[0]
        is_trained = (words < self.num_embeddings).unsqueeze(-1)
        trained = words.clamp(max=self.num_embeddings - 1)
        others = functional.embedding((words - self.num_embeddings).clamp(min=0), self.extra)
        rows = [functional.embedding(trained, table, self.padding_idx) for table in tables]
        return torch.cat([torch.where(is_trained, row, others) for row in rows], dim=-1)
