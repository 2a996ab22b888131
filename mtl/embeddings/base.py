"""The contracts of embeddings.

Letters: B sentences, T tokens, P positions, U distinct words, D width, H width of hidden states.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from mtl.options import Checked
from mtl.text.vocabulary import Vocabulary


class Embedding(Checked, nn.Module, ABC):
    """Maps one feature of the tokens to vectors, one vector per token.

    `vocabulary` is the class that defines the feature; the options of its `build` are options of
    the embedding in YAML too.

    Args:
        vocabularies: Feature name to the vocabulary of the feature.
    """

    vocabulary: ClassVar[type[Vocabulary]]
    contextual: ClassVar[bool] = False
    """Whether the vector of a token depends on its neighbours too, in evaluation.

    If not, prediction embeds each distinct word once."""
    size: int
    """Width D of the output."""

    @property
    def word_table(self) -> nn.Parameter | None:
        """Vectors of whole words, `[V, D]`, that language models may share, if there are any."""
        return None

    @classmethod
    def vectors_file(cls, options: Mapping[str, Any]) -> str | None:
        """Return the file of pretrained vectors that `load_vectors` will be called with, if any."""
        return None

    @classmethod
    def keeps_all_vectors(cls, options: Mapping[str, Any]) -> bool:
        """Return whether words are known that have a vector but are not in the training text."""
        return False

    @classmethod
    def vectors_of_text(
        cls, options: Mapping[str, Any], words: Iterable[str]
    ) -> Callable[[str], bool]:
        """Return a test whether the vector of a word is needed for the given words."""
        return set(words).__contains__

    @classmethod
    def check_vectors(cls, options: Mapping[str, Any], width: int) -> None:
        """Raise OptionError if pretrained vectors do not have the width that the options say."""

    def load_vectors(self, numbers: Tensor, vectors: Tensor) -> None:
        """Set the vectors of some words.

        Args:
            numbers: `[N]` int64, ids of words.
            vectors: `[N, D]`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no pretrained vectors")

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`; padding rows are zero.

        Args:
            features: As `mtl.data.batch.Batch.features`.
            mask: `[B, T]` bool, True on real tokens.
        """


class EmbeddingOutput(NamedTuple):
    """The input of the trunk, which may have more positions than a sentence has words.

    Args:
        vectors: `[B, P, D]`, zero on padding. P is T where positions are words.
        mask: `[B, P]` bool, True on real positions.
        to_words: Maps hidden states of positions `[B, P, H]` to hidden states of words
            `[B, T, H]`.
        words: The word of each position, `[B, P]` int64, counted from 1; 0 for special tokens and
            padding. None where positions are words.
        features: All features of the batch, for heads that read words; see `Head.inputs`.
        gates: A factor of each word, `[B, T]`, for these heads; None for none.
    """

    vectors: Tensor
    mask: Tensor
    to_words: Callable[[Tensor], Tensor]
    words: Tensor | None = None
    features: Mapping[str, Tensor] = MappingProxyType({})
    gates: Tensor | None = None


class InputEmbedding(nn.Module, ABC):
    """The first module of a model: maps all features of a batch to the input of the trunk."""

    contextual: bool
    """Whether the vector of a position depends on other words too, in evaluation."""
    size: int
    """Width D of the output."""
    head_size: int = 0
    """The number of features that `to_words` appends to the hidden states of each word."""

    @abstractmethod
    def part(self, slot: str) -> Embedding:
        """Return the embedding of a slot of the run file."""

    @property
    def word_table(self) -> nn.Parameter | None:
        """The vectors of whole words, `[V, D]`, or None without such a table."""
        return None

    def head_parameters(self) -> list[nn.Parameter]:
        """Return the parameters without pretrained values, which fine-tuning treats like heads."""
        return []

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> EmbeddingOutput:
        """Return the input of the trunk.

        Args:
            features: As `mtl.data.batch.Batch.features`.
            mask: `[B, T]` bool, True on real tokens.
        """


def of_words(vectors: Tensor, mask: Tensor) -> EmbeddingOutput:
    """Return the output of an embedding that has one position per word.

    Args:
        vectors: `[B, T, D]`, zero on padding.
        mask: `[B, T]` bool, True on real tokens.
    """
    return EmbeddingOutput(vectors, mask, _unchanged)


def _unchanged(hidden: Tensor) -> Tensor:
    return hidden


def spread(vectors: Tensor, types: Tensor) -> Tensor:
    """Copy the vector of each word to the tokens where the word occurs.

    Args:
        vectors: `[U, D]`, one row per distinct word.
        types: `[B, T]` int64: the row of each token's word plus one; 0 on padding.

    Returns:
        `[B, T, D]`, zero on padding.
    """
    return functional.embedding(types, functional.pad(vectors, (0, 0, 1, 0)), padding_idx=0)
