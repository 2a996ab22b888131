"""Dropout for sequences. Letters: B sentences, T tokens, H width, V words, D embedding width."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from mtl.options import Probability


class VariationalDropout(nn.Module):
    """Drop the same units at every token of a sentence (Gal & Ghahramani 2016).

    Args:
        p: Probability of dropping a unit; the remaining units are scaled by 1 / (1 - p).
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
        """Return the options shown by `print(module)`."""
        return f"p={self.p}"


class EmbeddingDropout(nn.Module):
    """Drop whole words, the same ones throughout a batch (Gal & Ghahramani 2016).

    The result is the same as setting rows of the table to zero for one pass, without copying the
    table.

    Args:
        p: Probability of dropping a word; the remaining vectors are scaled by 1 / (1 - p).
    """

    def __init__(self, p: Probability) -> None:
        super().__init__()
        self.p = p

    def forward(self, table: nn.Embedding, words: Tensor) -> Tensor:
        """Return `[B, T, D]`, the vectors of the ids `words [B, T]` in a table `[V, D]`.

        A table may have further words with ids from V on; they are never dropped.
        """
        vectors: Tensor = table(words)
        if not self.training or self.p == 0:
            return vectors
        keep = 1 - self.p
        # One factor per word of the vocabulary, so that all occurrences of a word share it.
        factors = vectors.new_empty(table.num_embeddings, 1).bernoulli_(keep).div_(keep)
        factors = functional.pad(factors, (0, 0, 0, 1), value=1)
        return vectors * functional.embedding(words.clamp(max=table.num_embeddings), factors)

    def extra_repr(self) -> str:
        """Return the options shown by `print(module)`."""
        return f"p={self.p}"
