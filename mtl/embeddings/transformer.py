"""Embedding of a pretrained transformer. Letters: B sentences, T words, P subwords, D width."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.embeddings.base import Embedding, EmbeddingOutput, InputEmbedding
from mtl.embeddings.concatenation import Concatenation
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
        beside: Embeddings of whole words, such as characters and affixes, whose vectors heads read
            beside the hidden states; None for none.
    """

    contextual = True

    def __init__(
        self,
        vocabulary: TransformerVocabulary,
        *,
        dim: int,
        limit: int,
        align: Alignment,
        beside: Concatenation | None = None,
    ) -> None:
        super().__init__()
        (subwords,) = vocabulary.sizes()
        self.size = dim
        self.limit = limit
        self.align = align
        self.marks = vocabulary.begin, vocabulary.end
        self.table = nn.Embedding(subwords, dim, padding_idx=PAD)
        self.beside = beside
        self.head_size = beside.size if beside else 0

    def part(self, slot: str) -> Embedding:
        """Return the embedding of a slot of the run file, which is one of whole words."""
        assert self.beside is not None
        return self.beside.part(slot)

    @property
    def word_table(self) -> nn.Parameter | None:
        """The vectors of whole words, `[V, D]`, or None without such a table."""
        return self.beside.word_table if self.beside else None

    def head_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the embeddings of whole words."""
        return [*self.beside.parameters()] if self.beside else []

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
            features: `transformer [U, S]`, the subwords of each distinct word, `types [B, T]`, and
                the features of the embeddings beside.
            mask: `[B, T]` bool, True on real words.
        """
        subwords = functional.pad(features["transformer"], (0, 0, 1, 0))[features["types"]]
        layout = lay_out(subwords, *self.marks, self.limit)
        merge = partial(to_words, words=layout.words, length=mask.shape[1], alignment=self.align)
        if self.beside is not None:
            merge = partial(_appended, merge, self.beside(features, mask).vectors)
        return EmbeddingOutput(self.table(layout.numbers), layout.mask, merge, layout.words)


def _appended(merge: Callable[[Tensor], Tensor], vectors: Tensor, hidden: Tensor) -> Tensor:
    """Return the hidden states of words, `[B, T, H + D]`, with the vectors of words appended."""
    return torch.cat([merge(hidden), vectors], dim=2)
