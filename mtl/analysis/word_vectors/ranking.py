"""Word vectors of windows that rank above windows with a wrong word.

Letters: V words, D width, B blocks, T words of a block, W words on each side, H hidden units.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.analysis.word_vectors.base import GradientMethod, VectorObjective, uniform_table
from mtl.analysis.word_vectors.text import CountedText
from mtl.analysis.word_vectors.windows import OUTSIDE, blocks
from mtl.options import PositiveFloat, PositiveInt

_BLOCK = 32


class Ranking(GradientMethod):
    """C&W: a window ranks above the same window with a wrong word (Collobert et al. 2011).

    loss = Σ over windows x of max(0, 1 − f(x) + f(x')), x' = x with a random word in the middle,
    f(x) = a · hardtanh(M [v of the words of x] + b)

    The random word is drawn from the whole vocabulary. Positions outside of the sentence have a
    vector of their own.

    Args:
        window: The number of words W on each side of the middle word.
        hidden_size: The number of hidden units H.
        epochs: The number of passes over the text.
        lr: The learning rate at the start.
    """

    def __init__(
        self,
        *,
        window: PositiveInt = 5,
        hidden_size: PositiveInt = 100,
        epochs: PositiveInt = 5,
        lr: PositiveFloat = 0.05,
    ) -> None:
        super().__init__(epochs=epochs, lr=lr)
        self.window = window
        self.hidden_size = hidden_size

    def objective(self, text: CountedText, dim: int, generator: torch.Generator) -> VectorObjective:
        """Return the ranking loss."""
        return RankingObjective(text, dim, self, generator)


class RankingObjective(VectorObjective):
    """The loss of `Ranking`.

    Args:
        text: The text.
        dim: Width D.
        options: The options.
        generator: Random numbers for the first values.
    """

    batch_size = 32

    def __init__(
        self, text: CountedText, dim: int, options: Ranking, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.text = text
        self.window = options.window
        # With the small vectors of skip-gram, all hidden units would stay near zero.
        self.table = uniform_table(len(text.words) + 1, dim, generator, bound=0.5)
        features = (2 * options.window + 1) * dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(1 << 31, (1,), generator=generator)))
            self.hidden = nn.Linear(features, options.hidden_size)
            self.score = nn.Linear(options.hidden_size, 1, bias=False)

    def examples(self, random: np.random.Generator) -> tuple[Tensor, ...]:
        """Return the blocks of the text."""
        return blocks(self.text, _BLOCK, self.window)

    def loss(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """Return the sum of the losses of blocks, with random words."""
        shape = (len(batch[0]), _BLOCK)
        wrong = torch.randint(len(self.text.words), shape, generator=generator)
        ids, lines = batch
        return self.loss_of(ids, lines, wrong)

    def loss_of(self, ids: Tensor, lines: Tensor, wrong: Tensor) -> Tensor:
        """Return the loss of given random words.

        Args:
            ids: `[B, T + 2 W]`.
            lines: `[B, T + 2 W]`, the sentence of each word.
            wrong: `[B, T]` int64, the random words.
        """
        size = 2 * self.window + 1
        windows, of = ids.unfold(1, size, 1), lines.unfold(1, size, 1)  # [B, T, 2 W + 1]
        middle = of[:, :, self.window, None]
        words = windows.masked_fill(of != middle, len(self.text.words)).long()
        real = middle.squeeze(-1) != OUTSIDE
        words, wrong = words[real], wrong[real]
        vectors = self.table(words).flatten(1)
        right = self.hidden(vectors)
        # The two windows differ in one word, so that the large product is computed once.
        dim = self.table.embedding_dim
        part = slice(self.window * dim, (self.window + 1) * dim)
        change = self.table(wrong) - vectors[:, part]
        other = right + functional.linear(change, self.hidden.weight[:, part])
        scores = [self.score(functional.hardtanh(hidden)) for hidden in (right, other)]
        losses: Tensor = (1 - scores[0] + scores[1]).relu()
        return losses.sum()

    def vectors(self) -> Tensor:
        """Return the word vectors, without the one of positions outside of the sentence."""
        found: Tensor = self.table.weight[:-1]
        return found
