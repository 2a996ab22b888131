"""Embedding of a pretrained transformer. Letters: B sentences, T words, P subwords, D width."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.embeddings.base import EmbeddingOutput, InputEmbedding
from mtl.layers.subwords import Alignment, lay_out, to_words
from mtl.text.vocabulary import PAD, TransformerVocabulary
from mtl.text.vocabulary.base import SPECIAL


class TransformerEmbedding(InputEmbedding):
    """Vectors of the subwords of a sentence, for a trunk that reads these instead of words.

    Not one of the embeddings that a run chooses from: it comes with its trunk.

    Args:
        vocabulary: The subwords.
        dim: Width D of the vectors.
        limit: The most subwords of a sentence, special tokens included.
        align: How the hidden states of subwords are merged into one per word.
    """

    contextual = True

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

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> EmbeddingOutput:
        """Return the subwords of sentences, with special tokens around each sentence.

        Args:
            features: `transformer [U, S]`, the subwords of each distinct word, and `types [B, T]`.
            mask: `[B, T]` bool, True on real words.
        """
        subwords = functional.pad(features["transformer"], (0, 0, 1, 0))[features["types"]]
        layout = lay_out(subwords, *self.marks, self.limit)
        merge = partial(to_words, words=layout.words, length=mask.shape[1], alignment=self.align)
        return EmbeddingOutput(self.table(layout.numbers), layout.mask, merge)
