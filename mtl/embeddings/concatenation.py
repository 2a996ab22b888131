"""Several embeddings side by side. Letters: B sentences, T tokens, D width."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl.embeddings.base import Embedding, EmbeddingOutput, InputEmbedding, of_words


class Concatenation(InputEmbedding):
    """Concatenates the vectors of several embeddings.

    Args:
        parts: Slot name to embedding, in order.
    """

    def __init__(self, parts: Mapping[str, Embedding]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.size = sum(part.size for part in parts.values())
        self.contextual = any(part.contextual for part in parts.values())

    def part(self, slot: str) -> Embedding:
        """Return the embedding of a slot."""
        part = self.parts[slot]
        assert isinstance(part, Embedding)
        return part

    @property
    def word_table(self) -> nn.Parameter | None:
        """The vectors of whole words, `[V, D]`, or None without such a table."""
        tables = (self.part(slot).word_table for slot in self.parts)
        return next((table for table in tables if table is not None), None)

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> EmbeddingOutput:
        """Return vectors `[B, T, D]`, zero on padding; arguments as `Embedding.forward`."""
        vectors = torch.cat([part(features, mask) for part in self.parts.values()], dim=-1)
        return of_words(vectors, mask)
