"""Skip-gram and CBOW with negative sampling.

Letters: V words, D width, B blocks, T words of a block, W window, K negatives, S shared samples.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.analysis.word_vectors.base import GradientMethod, VectorObjective
from mtl.analysis.word_vectors.ngrams import InputTable, NgramTable
from mtl.analysis.word_vectors.text import CountedText
from mtl.analysis.word_vectors.windows import OUTSIDE, blocks, neighbours
from mtl.errors import OptionError
from mtl.options import NonNegativeFloat, PositiveFloat, PositiveInt

_BLOCK = 32
_SHARED = 128
"""Number of negative words S that all words of a step share."""


class NegativeSampling(GradientMethod):
    """Base of methods that separate the words of a window from random words.

    A window reaches to a random distance between 1 and `window`, so that near words count more.

    Args:
        window: The largest number of words W of a window on each side.
        negatives: The number of random words K per word of the text.
        smoothing: Random words are drawn in proportion to their count to this power.
        subsample: Words whose share f of the text exceeds this number t are left out at random, and
            stay with probability √(t/f). 0 keeps all.
        ngrams: Least and greatest number of characters of n-grams, such as [3, 6]: a word vector is
            the mean of the vectors of the word and of its n-grams (Bojanowski et al. 2017). null:
            no n-grams.
        epochs: The number of passes over the text.
        lr: The learning rate at the start.

    Raises:
        OptionError: `ngrams` is not two increasing numbers.
    """

    def __init__(
        self,
        *,
        window: PositiveInt = 5,
        negatives: PositiveInt = 5,
        smoothing: NonNegativeFloat = 0.75,
        subsample: NonNegativeFloat = 1e-3,
        ngrams: list[PositiveInt] | None = None,
        epochs: PositiveInt = 5,
        lr: PositiveFloat = 0.2,
    ) -> None:
        super().__init__(epochs=epochs, lr=lr)
        if ngrams is not None and (len(ngrams) != 2 or ngrams[0] > ngrams[1]):
            message = f"expected the least and the greatest length, such as [3, 6], got {ngrams}"
            raise OptionError("ngrams", message)
        self.window = window
        self.negatives = negatives
        self.smoothing = smoothing
        self.subsample = subsample
        self.ngrams = ngrams


class WindowObjective(VectorObjective):
    """Base of the losses with negative samples.

    The paper draws K random words for each pair. Here, all pairs of a step share S random words,
    and the loss of each pair has K / S times the sum over them. The expected loss is the same, and
    products of matrices replace products of vectors (Ji et al. 2016).

    Args:
        text: The text.
        dim: Width D.
        options: The options.
        generator: Random numbers for the first values.
    """

    batch_size = 16

    def __init__(
        self, text: CountedText, dim: int, options: NegativeSampling, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.text = text
        self.options = options
        self.noise = torch.from_numpy(text.counts.astype(np.float64) ** options.smoothing)
        self.inputs: InputTable | NgramTable
        words: Sequence[str] = text.words
        if options.ngrams:
            least, most = options.ngrams
            self.inputs = NgramTable(words, (least, most), dim, generator)
        else:
            self.inputs = InputTable(len(words), dim, generator)
        self.outputs = nn.Embedding(len(words), dim, sparse=True)
        nn.init.zeros_(self.outputs.weight)

    def examples(self, random: np.random.Generator) -> tuple[Tensor, ...]:
        """Return the blocks of the text, a part of whose frequent words is left out."""
        thinned = self.text.thinned(self.options.subsample, random)
        return blocks(thinned, _BLOCK, self.options.window)

    def loss(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """Return the sum of the losses of blocks, with random windows and negative words."""
        ids, lines = batch
        window = self.options.window
        reach = torch.randint(1, window + 1, (len(ids), _BLOCK), generator=generator)
        noise = torch.multinomial(self.noise, _SHARED, replacement=True, generator=generator)
        pairs = neighbours(lines, reach, window)
        return self.loss_of(ids.masked_fill(ids == OUTSIDE, 0).long(), pairs, noise)

    @abstractmethod
    def loss_of(self, ids: Tensor, pairs: Tensor, noise: Tensor) -> Tensor:
        """Return the loss of given windows and negative words.

        Args:
            ids: `[B, T + 2 W]` int64.
            pairs: `[B, T, T + 2 W]` bool, the words of each window.
            noise: `[S]` int64, the negative words.
        """

    def scores_of_noise(self, hidden: Tensor, noise: Tensor) -> Tensor:
        """Return the loss of K negative words per row of `hidden [B, T, D]`, `[B, T]`."""
        scores = hidden @ self.outputs(noise).T
        share = self.options.negatives / len(noise)
        return share * functional.softplus(scores).sum(-1)

    def vectors(self) -> Tensor:
        """Return the input vectors."""
        found: Tensor = self.inputs(torch.arange(len(self.text.words)))
        return found


class SkipGram(NegativeSampling):
    """Skip-gram: a word predicts each word of its window (Mikolov et al. 2013).

    loss = − Σ over pairs (w, c) of log σ(v_w · u_c) + K E_n log σ(− v_w · u_n)

    v are the word vectors and u the context vectors; negative words n are drawn at random.

    Args:
        add_contexts: Whether the result is v + u in place of v (Levy et al. 2015).
    """

    def __init__(
        self,
        *,
        window: PositiveInt = 5,
        negatives: PositiveInt = 5,
        smoothing: NonNegativeFloat = 0.75,
        subsample: NonNegativeFloat = 1e-3,
        ngrams: list[PositiveInt] | None = None,
        add_contexts: bool = False,
        epochs: PositiveInt = 5,
        lr: PositiveFloat = 0.2,
    ) -> None:
        super().__init__(
            window=window,
            negatives=negatives,
            smoothing=smoothing,
            subsample=subsample,
            ngrams=ngrams,
            epochs=epochs,
            lr=lr,
        )
        self.add_contexts = add_contexts

    def objective(self, text: CountedText, dim: int, generator: torch.Generator) -> VectorObjective:
        """Return the loss of skip-gram."""
        return SkipGramObjective(text, dim, self, generator)


class SkipGramObjective(WindowObjective):
    """The loss of `SkipGram`."""

    options: SkipGram

    def loss_of(self, ids: Tensor, pairs: Tensor, noise: Tensor) -> Tensor:
        """Return the loss; see `WindowObjective.loss_of`."""
        window = self.options.window
        words = self.inputs(ids[:, window : ids.shape[1] - window])
        # All words of a block in one product; the pairs are a band of it.
        scores = words @ self.outputs(ids).transpose(1, 2)
        near = functional.softplus(-scores).masked_fill(~pairs, 0).sum()
        return near + (self.scores_of_noise(words, noise) * pairs.sum(-1)).sum()

    def vectors(self) -> Tensor:
        """Return v, or v + u."""
        found = super().vectors()
        return found + self.outputs.weight if self.options.add_contexts else found


class ContinuousBag(NegativeSampling):
    """CBOW: the mean of a window predicts the word in its middle (Mikolov et al. 2013).

    loss = − Σ over words w of log σ(h · u_w) + K E_n log σ(− h · u_n),
    h = mean of v over the window

    v are the word vectors; negative words n are drawn at random.
    """

    def objective(self, text: CountedText, dim: int, generator: torch.Generator) -> VectorObjective:
        """Return the loss of CBOW."""
        return BagObjective(text, dim, self, generator)


class BagObjective(WindowObjective):
    """The loss of `ContinuousBag`."""

    def loss_of(self, ids: Tensor, pairs: Tensor, noise: Tensor) -> Tensor:
        """Return the loss; see `WindowObjective.loss_of`."""
        window = self.options.window
        sizes = pairs.sum(-1)
        vectors = self.inputs(ids)
        means = (pairs.to(vectors) @ vectors) / sizes.clamp(min=1).unsqueeze(-1)
        words = self.outputs(ids[:, window : ids.shape[1] - window])
        near = functional.softplus(-(means * words).sum(-1))
        # A word without neighbours has no window.
        return ((near + self.scores_of_noise(means, noise)) * (sizes > 0)).sum()
