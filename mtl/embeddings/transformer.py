"""Embedding of a pretrained transformer. Letters: B sentences, T words, P subwords, D width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.layers.subwords import Alignment, Layout, lay_out, to_words
from mtl.text.vocabulary import PAD, TransformerVocabulary
from mtl.text.vocabulary.base import SPECIAL


class SubwordVectors(NamedTuple):
    """Sentences as subwords.

    Args:
        vectors: `[B, P, D]`, zero on padding.
        layout: The position of each subword, and the word that contains it.
        length: The number T of words of the longest sentence.
        align: The vector of a word: of its first subword, or the mean.
    """

    vectors: Tensor
    layout: Layout
    length: int
    align: Alignment

    @property
    def mask(self) -> Tensor:
        """`[B, P]` bool, True on real subwords."""
        return self.layout.mask

    def words(self, hidden: Tensor) -> Tensor:
        """Return the vectors of words `[B, T, H]`, given vectors of subwords `[B, P, H]`."""
        return to_words(hidden, self.layout.words, self.length, self.align)


class TransformerEmbedding(nn.Module):
    """Vectors of the subwords of a sentence, for a trunk that reads these instead of words.

    Not one of the embeddings that a run chooses from: it comes with its trunk.

    Args:
        vocabulary: The subwords.
        dim: Width D of the vectors.
        limit: The most subwords of a sentence, its marks counted.
        align: The vector of a word: of its first subword, or the mean.
    """

    def __init__(
        self, vocabulary: TransformerVocabulary, *, dim: int, limit: int, align: Alignment
    ) -> None:
        super().__init__()
        (subwords,) = vocabulary.sizes()
        self.size = dim
        self.limit = limit
        self.align = align
        self.marks = vocabulary.begin, vocabulary.end
        self.table = nn.Embedding(subwords, dim, padding_idx=PAD)

    def load_vectors(self, vectors: Tensor) -> None:
        """Set the vectors `[V, D]` of the subwords of the tokenizer, which follow special ones.

        Raises:
            ValueError: The vectors are fewer than the subwords.
        """
        subwords = len(self.table.weight) - len(SPECIAL)
        if len(vectors) < subwords:
            raise ValueError(f"expected vectors of {subwords} subwords, got {len(vectors)}")
        with torch.no_grad():
            self.table.weight[len(SPECIAL) :] = vectors[:subwords]

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> SubwordVectors:
        """Return the subwords of sentences, marks around each of them.

        Args:
            features: `transformer [U, S]`, the subwords of each distinct word, and `types [B, T]`.
            mask: `[B, T]` bool, True on real words.
        """
        subwords = functional.pad(features["transformer"], (0, 0, 1, 0))[features["types"]]
        layout = lay_out(subwords, *self.marks, self.limit)
        return SubwordVectors(self.table(layout.numbers), layout, mask.shape[1], self.align)
