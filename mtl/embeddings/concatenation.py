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

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> EmbeddingOutput:
        """Return vectors `[B, T, D]`, zero on padding; arguments as `Embedding.forward`."""
        vectors = torch.cat([part(features, mask) for part in self.parts.values()], dim=-1)
        return of_words(vectors, mask)
