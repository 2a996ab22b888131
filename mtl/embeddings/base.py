"""The contract of embeddings. Letters: B sentences, T tokens, U distinct words, D width."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from mtl.options import Checked
from mtl.text.vocabulary import Vocabulary


class Embedding(Checked, nn.Module, ABC):
    """Turns one feature of the tokens into vectors.

    In evaluation the vector of a token depends on its word alone, not on its neighbours, so that
    the vectors of frequent words can be reused.

    Args:
        vocabularies: Feature name to vocabulary.
    """

    vocabulary: ClassVar[type[Vocabulary]]
    """The class that defines the feature. The options of its `build` are options of the embedding
    in YAML too."""
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


def spread(vectors: Tensor, types: Tensor) -> Tensor:
    """Return the vector of each token's word.

    Args:
        vectors: `[U, D]`, one row per distinct word.
        types: `[B, T]` int64: the row of each token's word plus one; 0 on padding.

    Returns:
        `[B, T, D]`, zero on padding.
    """
    return functional.embedding(types, functional.pad(vectors, (0, 0, 1, 0)), padding_idx=0)
