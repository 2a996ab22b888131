"""GloVe. Letters: V words, D width, P pairs of words that occur near each other."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mtl.analysis.word_vectors.base import GradientMethod, VectorObjective, uniform_table
from mtl.analysis.word_vectors.cooccurrence import PairCounts, count_pairs
from mtl.analysis.word_vectors.text import CountedText
from mtl.options import PositiveFloat, PositiveInt


class GloVe(GradientMethod):
    """GloVe: products of vectors fit the logarithms of counts of pairs (Pennington et al. 2014).

    loss = Σ over pairs (i, j) of min(1, (x / x_max)^α) (w_i · c_j + b_i + d_j − log x)²

    x is the count of the pair; a pair at distance d in the text adds 1 / d to it.

    Args:
        window: The largest distance of a pair.
        x_max: Pairs that occur this often or more have the full weight.
        alpha: The exponent α.
        add_contexts: Whether the result is w + c, as in the paper, in place of w.
        epochs: The number of passes over the pairs.
        lr: The learning rate at the start.
    """

    def __init__(
        self,
        *,
        window: PositiveInt = 10,
        x_max: PositiveFloat = 10.0,
        alpha: PositiveFloat = 0.75,
        add_contexts: bool = True,
        epochs: PositiveInt = 15,
        lr: PositiveFloat = 0.05,
    ) -> None:
        super().__init__(epochs=epochs, lr=lr)
        self.window = window
        self.x_max = x_max
        self.alpha = alpha
        self.add_contexts = add_contexts

    def objective(self, text: CountedText, dim: int, generator: torch.Generator) -> VectorObjective:
        """Count the pairs, and return the loss."""
        weights = [1 / distance for distance in range(1, self.window + 1)]
        return GloVeObjective(len(text.words), count_pairs(text, weights), dim, self, generator)


class GloVeObjective(VectorObjective):
    """The loss of `GloVe`.

    Args:
        words: The number of words V.
        pairs: The counts.
        dim: Width D.
        options: The options.
        generator: Random numbers for the first values.
    """

    batch_size = 4096

    def __init__(
        self,
        words: int,
        pairs: PairCounts,
        dim: int,
        options: GloVe,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.options = options
        self.pairs = tuple(torch.from_numpy(values) for values in pairs)
        self.words, self.contexts = (
            uniform_table(words, dim, generator, bound=0.5 / dim) for _ in range(2)
        )
        self.word_bias, self.context_bias = (nn.Embedding(words, 1, sparse=True) for _ in range(2))
        for bias in (self.word_bias, self.context_bias):
            nn.init.zeros_(bias.weight)

    def examples(self, random: np.random.Generator) -> tuple[Tensor, ...]:
        """Return the pairs and their counts."""
        return self.pairs

    def loss(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """Return the sum of the weighted squares."""
        words, contexts, counts = batch
        products = (self.words(words) * self.contexts(contexts)).sum(-1)
        biases = (self.word_bias(words) + self.context_bias(contexts)).squeeze(-1)
        weights = (counts / self.options.x_max).clamp(max=1) ** self.options.alpha
        squares: Tensor = (products + biases - counts.log()).square()
        return (weights * squares).sum()

    def vectors(self) -> Tensor:
        """Return w + c, or w."""
        words: Tensor = self.words.weight
        contexts: Tensor = self.contexts.weight
        return words + contexts if self.options.add_contexts else words
