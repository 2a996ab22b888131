"""The contract of embeddings. Letters: B sentences, T tokens, U distinct words, D width."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from mtl.text.vocabulary import Vocabulary


class Embedding(nn.Module, ABC):
    """Turns one feature of the tokens into vectors.

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
