"""Dropout that fits sequences. Letters: B sentences, T tokens, H width, V words, D their width."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from mtl.options import Probability


class VariationalDropout(nn.Module):
    """Drops the same units at every token of a sentence (Gal & Ghahramani 2016).

    Args:
        p: Probability of dropping a unit; what is kept is scaled by 1 / (1 - p).
    """

    def __init__(self, p: Probability) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return `x [B, T, H]` with one mask `[B, 1, H]` applied; in evaluation `x` itself."""
        if not self.training or self.p == 0:
            return x
        keep = 1 - self.p
        return x * x.new_empty(x.shape[0], 1, x.shape[2]).bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        """Return what `print(module)` shows."""
        return f"p={self.p}"


class EmbeddingDropout(nn.Module):
    """Drops words from the whole batch (Gal & Ghahramani 2016).

    It is as if rows of the table were zero for this pass; only those that are read are computed.

    Args:
        p: Probability of dropping a word; what is kept is scaled by 1 / (1 - p).
    """

    def __init__(self, p: Probability) -> None:
        super().__init__()
        self.p = p

    def forward(self, table: nn.Embedding, words: Tensor) -> Tensor:
        """Return the vectors of `words [B, T]` in a table `[V, D]`, `[B, T, D]`."""
        vectors: Tensor = table(words)
        if not self.training or self.p == 0:
            return vectors
        keep = 1 - self.p
        kept = vectors.new_empty(table.num_embeddings, 1).bernoulli_(keep).div_(keep)
        return vectors * functional.embedding(words, kept)

    def extra_repr(self) -> str:
        """Return what `print(module)` shows."""
        return f"p={self.p}"
