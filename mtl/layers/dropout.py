"""Dropout for sequences. Letters: B sentences, T tokens, H width, V words, D embedding width."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.layers.inputs import check_probability
from mtl.options import Probability


class VariationalDropout(nn.Module):
    """Drop the same units at every token of a sentence (Gal & Ghahramani 2016).

    Args:
        p: Probability of dropping a unit; the remaining units are scaled by 1 / (1 - p).
    """

    def __init__(self, p: Probability) -> None:
        super().__init__()
        check_probability("p", p)
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


class EvolutionalDropout(nn.Module):
    """Drop units with small activations more often (Li et al. 2016).

    x ⊙ m / (k q), where m counts k draws with replacement from the H units, and unit i is drawn
    with probability q_i ∝ sqrt(mean x_i²), the root of its second moment in the batch. The expected
    value is x. All tokens of a sentence have the same mask, as in `VariationalDropout`. Zero rows,
    such as padding, do not change the probabilities.

    Args:
        p: The number k of draws is (1 - p) H, at least 1. A unit may be drawn several times, so
            that more than p H units are dropped.
    """

    def __init__(self, p: Probability) -> None:
        super().__init__()
        check_probability("p", p)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return `x [B, T, H]` with one mask per sentence applied; in evaluation `x` itself."""
        if not self.training or self.p == 0:
            return x
        draws = max(1, round((1 - self.p) * x.shape[2]))
        # A unit that is always zero is never needed; the bound only keeps quotients finite.
        moments = x.detach().float().square().mean((0, 1)).sqrt().clamp(min=1e-12)
        rates = (moments / moments.sum()).expand(x.shape[0], -1)
        drawn = rates.multinomial(draws, replacement=True)
        counts = torch.zeros_like(rates).scatter_add(1, drawn, torch.ones_like(rates[:, :draws]))
        return x * (counts / (draws * rates)).to(x.dtype).unsqueeze(1)

    def extra_repr(self) -> str:
        """Return the options shown by `print(module)`."""
        return f"p={self.p}"


class Standout(nn.Module):
    """Rectified units, each kept with a probability that grows with its input (Ba & Frey 2013).

    m ⊙ relu(a), where m is 1 with probability σ(a), else 0; in evaluation σ(a) ⊙ relu(a). The keep
    rates share the weights of the layer, with α = 1 and β = 0 in the paper's notation.
    """

    def forward(self, a: Tensor) -> Tensor:
        """Return a tensor of the shape of `a`, the values before rectification."""
        keep = a.sigmoid()
        return a.relu() * (keep.detach().bernoulli() if self.training else keep)


class EmbeddingDropout(nn.Module):
    """Drop whole words, the same ones throughout a batch (Gal & Ghahramani 2016).

    The result is the same as setting rows of the table to zero for one pass, without copying the
    table.

    Args:
        p: Probability of dropping a word; the remaining vectors are scaled by 1 / (1 - p).
    """

    def __init__(self, p: Probability) -> None:
        super().__init__()
        check_probability("p", p)
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
