"""Word vectors of a neural language model with a fixed number of words before the next one.

Letters: V words, D width, B blocks, T words of a block, C words of context, H hidden units.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mtl.analysis.word_vectors.base import GradientMethod, VectorObjective, uniform_table
from mtl.analysis.word_vectors.text import CountedText
from mtl.analysis.word_vectors.windows import OUTSIDE, blocks
from mtl.layers.adaptive import AdaptiveSoftmax
from mtl.layers.next_word import FullSoftmax, NextWord
from mtl.options import PositiveFloat, PositiveInt

_BLOCK = 32
_CUTOFFS = (2000, 10_000)


class NeuralModel(GradientMethod):
    """NNLM: the words before a word predict it, through one hidden layer (Bengio et al. 2003).

    p(next word) = softmax(U tanh(M [v of the last C words] + b) + c)

    The direct connections from the vectors to the softmax, optional in the paper, are left out.
    Above 2,000 words, the softmax is adaptive (Grave et al. 2016): rare words are in clusters.
    Positions before the sentence have a vector of their own.

    Args:
        context: The number of words C before the next word.
        hidden_size: The number of hidden units H.
        epochs: The number of passes over the text.
        lr: The learning rate at the start.
    """

    def __init__(
        self,
        *,
        context: PositiveInt = 4,
        hidden_size: PositiveInt = 100,
        epochs: PositiveInt = 5,
        lr: PositiveFloat = 0.05,
    ) -> None:
        super().__init__(epochs=epochs, lr=lr)
        self.context = context
        self.hidden_size = hidden_size

    def objective(self, text: CountedText, dim: int, generator: torch.Generator) -> VectorObjective:
        """Return the loss of the language model."""
        return NextWordObjective(text, dim, self, generator)


class NextWordObjective(VectorObjective):
    """The loss of `NeuralModel`: −log p of each word.

    Args:
        text: The text.
        dim: Width D.
        options: The options.
        generator: Random numbers for the first values.
    """

    batch_size = 16

    def __init__(
        self, text: CountedText, dim: int, options: NeuralModel, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.text = text
        self.context = options.context
        words = len(text.words)
        self.table = uniform_table(words + 1, dim, generator, bound=0.5)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(1 << 31, (1,), generator=generator)))
            self.hidden = nn.Linear(options.context * dim, options.hidden_size)
            cutoffs = [cutoff for cutoff in _CUTOFFS if cutoff < words]
            self.output: NextWord = (
                AdaptiveSoftmax(options.hidden_size, words, cutoffs=cutoffs)
                if cutoffs
                else FullSoftmax(options.hidden_size, words)
            )

    def examples(self, random: np.random.Generator) -> tuple[Tensor, ...]:
        """Return the blocks of the text."""
        return blocks(self.text, _BLOCK, self.context)

    def loss(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """Return the sum of the losses of blocks."""
        ids, lines = batch
        context = self.context
        before = ids[:, : _BLOCK + context - 1].unfold(1, context, 1)  # [B, T, C]
        of = lines[:, : _BLOCK + context - 1].unfold(1, context, 1)
        targets, own = (values[:, context : context + _BLOCK] for values in batch)
        real = own != OUTSIDE
        words = before.masked_fill(of != own.unsqueeze(-1), len(self.text.words))[real].long()
        hidden = self.hidden(self.table(words).flatten(1)).tanh()
        return self.output.loss(hidden, targets[real].long()).sum()

    def vectors(self) -> Tensor:
        """Return the word vectors, without the one of positions before the sentence."""
        found: Tensor = self.table.weight[:-1]
        return found
