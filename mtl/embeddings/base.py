"""The contract of embeddings. Letters: B sentences, T tokens, U distinct words, D width."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from mtl.text.vocabulary import Vocabulary


class Embedding(nn.Module, ABC):
    """Turns one feature of the tokens into vectors.

    In evaluation the vector of a token depends on its word alone, not on its neighbours, so that
    a word that occurs again need not be embedded again.

    `vocabulary` is the class that defines the feature; the options of its `build` are options of
    the embedding in YAML too.

    Args:
        vocabularies: Feature name to the vocabulary that numbered it.
    """

    vocabulary: ClassVar[type[Vocabulary]]
    size: int
    """Width D of the output."""

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`; padding rows are zero.

        Args:
            features: As `mtl.data.batch.Batch.features`.
            mask: `[B, T]` bool, True on real tokens.
        """


def spread(vectors: Tensor, types: Tensor) -> Tensor:
    """Give every token the vector of its word.

    Args:
        vectors: `[U, D]`, one row a distinct word.
        types: `[B, T]` int64: the row of each token's word plus one; 0 on padding.

    Returns:
        `[B, T, D]`, zero on padding.
    """
    return functional.embedding(types, functional.pad(vectors, (0, 0, 1, 0)), padding_idx=0)
