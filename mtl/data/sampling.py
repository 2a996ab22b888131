"""Which sentences a pass over a corpus contains, and how often: curricula and balanced classes."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from mtl.data.batching import Indices, generator


class SentenceSampler(ABC):
    """Base of ways to draw the sentences of a pass, in place of each of them once.

    A pure function of the seed, the corpus and the pass, so a run can be resumed anywhere. Passes
    have as many sentences as the corpus, so that all passes have equally many batches.

    Args:
        seed: The seed of the run.
        corpus: The name of the corpus, so that corpora are drawn differently.
    """

    def __init__(self, seed: int, corpus: str) -> None:
        self.seed = seed
        self.corpus = corpus

    @abstractmethod
    def draw(self, rows: NDArray[np.integer], epoch: int) -> Indices:
        """Return positions in `rows`, as many as there are rows; with repetitions and gaps.

        Args:
            rows: The sentence that each piece of the corpus belongs to.
            epoch: The pass, from 0.
        """

    def random(self, epoch: int) -> np.random.Generator:
        """Return the random generator of a pass."""
        return generator(self.seed, self.corpus, type(self).__name__, epoch)


class EasyFirst(SentenceSampler):
    """Draws from the easiest sentences first, from a pool that grows to all (Bengio et al. 2009).

    The pool of pass e has the share `start` + (1 − `start`) · e / `passes` of the sentences, in
    ascending order of their difficulty. The numbers of times that a pass contains them differ by at
    most one. A share `mixed` of a pass is drawn from all sentences instead, which is the combined
    strategy of Zaremba & Sutskever (2014). From pass `passes` on, every pass contains each sentence
    once.

    Args:
        seed: The seed of the run.
        corpus: The name of the corpus.
        difficulty: The difficulty of each sentence; sentences with NaN come last.
        passes: The number of passes before the pool has all sentences.
        start: The share of the sentences in the first pass.
        mixed: The share of each pass that is drawn from all sentences.
    """

    def __init__(
        self,
        seed: int,
        corpus: str,
        difficulty: NDArray[np.floating | np.integer],
        *,
        passes: int,
        start: float,
        mixed: float,
    ) -> None:
        super().__init__(seed, corpus)
        self.difficulty = np.asarray(difficulty)
        self.passes = passes
        self.start = start
        self.mixed = mixed

    def draw(self, rows: NDArray[np.integer], epoch: int) -> Indices:
        """Return the pieces of a pass; see `SentenceSampler.draw`."""
        everything = np.arange(len(rows))
        if epoch >= self.passes:
            return everything
        share = self.start + (1 - self.start) * epoch / self.passes
        # The same order in all passes, or pieces could leave the pool.
        ties = generator(self.seed, self.corpus, "ties").random(len(rows))
        pool = np.lexsort((ties, self.difficulty[rows]))[: max(1, round(share * len(rows)))]
        random = self.random(epoch)
        some = random.permutation(everything)[: round(self.mixed * len(rows))]
        often, rest = divmod(len(rows) - len(some), len(pool))
        drawn: Indices = np.concatenate(
            [some, np.tile(pool, often), random.permutation(pool)[:rest]]
        )
        return drawn


class Balanced(SentenceSampler):
    """Draws sentences of rare classes more often, and sentences of frequent classes less often.

    A class with n_c sentences has a share of the labelled ones in proportion to n_c^(1 − α): as in
    the data for α = 0, equal for all classes for α = 1. The number of draws of a sentence, and of a
    class, is its expectation, rounded down or up at random (systematic sampling). Unlabelled
    sentences are drawn once.

    Args:
        seed: The seed of the run.
        corpus: The name of the corpus.
        classes: The class of each sentence, from 0; −1 for none.
        strength: The exponent α.
    """

    def __init__(
        self, seed: int, corpus: str, classes: NDArray[np.integer], *, strength: float
    ) -> None:
        super().__init__(seed, corpus)
        self.classes = np.asarray(classes)
        self.strength = strength

    def expected(self, rows: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the mean number of times that a pass contains each piece; see `draw`."""
        classes = self.classes[rows]
        known = classes >= 0
        counts = np.bincount(classes[known], minlength=1).astype(np.float64)
        weights = np.where(counts > 0, np.maximum(counts, 1) ** -self.strength, 0)[classes]
        expected = np.ones(len(rows))
        expected[known] = weights[known] * known.sum() / weights[known].sum()
        return expected

    def draw(self, rows: NDArray[np.integer], epoch: int) -> Indices:
        """Return the pieces of a pass; see `SentenceSampler.draw`."""
        random = self.random(epoch)
        # Pieces of a class are neighbours, so that the sum of each class is rounded only once.
        order = np.lexsort((random.random(len(rows)), self.classes[rows]))
        ends = np.floor(np.cumsum(self.expected(rows)[order]) + random.random())
        ends[-1:] = len(rows)  # a sum of floats may end just below a whole number
        times: NDArray[np.int64] = np.diff(ends, prepend=0).astype(np.int64)
        drawn: Indices = np.repeat(order, times)
        return drawn
