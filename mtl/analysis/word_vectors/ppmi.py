"""Word vectors from counts without training. Letters: V words, D width, P pairs of words."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.analysis.word_vectors.base import LearningProgress, VectorMethod
from mtl.analysis.word_vectors.cooccurrence import PairCounts, count_pairs
from mtl.analysis.word_vectors.text import CountedText
from mtl.errors import MtlError
from mtl.options import Bounds, Fraction, NonNegativeFloat, PositiveInt

Shift = Annotated[float, Bounds(ge=1)]

_OVERSAMPLING, _ITERATIONS = 10, 5
"""Further random directions, and power iterations, of the singular value decomposition."""


class PPMI(VectorMethod):
    """Positive pointwise mutual information with frequent words (Bullinaria & Levy 2007).

    value = max(0, log(p(w, c) / (p(w) p_α(c))) − log k), p_α(c) ∝ count(c)^α

    The D context words c are the most frequent ones. Levy et al. (2015) describe the options.

    Args:
        window: The largest distance of a pair.
        dynamic: Whether a pair at distance d has the weight (W − d + 1) / W, the share of the
            random windows of word2vec that contain it. Otherwise, all pairs have the same weight.
        smoothing: The exponent α of the counts of context words, against the high values of rare
            ones. 1: no smoothing.
        shift: The number k, as the negative words of word2vec. 1: no shift.
        subsample: Words whose share f of the text exceeds this number t are left out at random, and
            stay with probability √(t/f). 0 keeps all.
    """

    def __init__(
        self,
        *,
        window: PositiveInt = 5,
        dynamic: bool = True,
        smoothing: NonNegativeFloat = 0.75,
        shift: Shift = 1.0,
        subsample: NonNegativeFloat = 0.0,
    ) -> None:
        self.window = window
        self.dynamic = dynamic
        self.smoothing = smoothing
        self.shift = shift
        self.subsample = subsample

    def information(self, text: CountedText, seed: int, progress: LearningProgress) -> PairCounts:
        """Return the positive values of all pairs, in place of their counts."""
        window = self.window
        weights = [1 - dynamic / window for dynamic in range(window)]
        thinned = text.thinned(self.subsample, np.random.default_rng(seed))
        pairs = count_pairs(thinned, weights if self.dynamic else [1.0] * window, progress)
        return positive_information(pairs, self.smoothing, self.shift)

    def learn(
        self, text: CountedText, dim: int, *, seed: int, progress: LearningProgress
    ) -> NDArray[np.float32]:
        """Count the pairs, and return the values of D contexts; see `VectorMethod.learn`."""
        if dim > len(text.words):
            raise MtlError(
                f"dim: expected at most {len(text.words):,}, the number of words, got {dim}"
            )
        words, contexts, values = self.information(text, seed, progress)
        vectors = np.zeros((len(text.words), dim), dtype=np.float32)
        kept = contexts < dim
        vectors[words[kept], contexts[kept]] = values[kept]
        return vectors


class SVD(PPMI):
    """Singular vectors of the matrix of positive pointwise mutual information (Levy et al. 2015).

    M ≈ U Σ Vᵀ with D singular values; the word vectors are U Σ^p

    Args:
        weighting: The exponent p. 1 is the classical choice; 0 and 0.5 are better in the paper.
        add_contexts: Whether the result is U Σ^p + V Σ^p in place of U Σ^p.
    """

    def __init__(
        self,
        *,
        window: PositiveInt = 5,
        dynamic: bool = True,
        smoothing: NonNegativeFloat = 0.75,
        shift: Shift = 1.0,
        subsample: NonNegativeFloat = 0.0,
        weighting: Fraction = 0.5,
        add_contexts: bool = False,
    ) -> None:
        super().__init__(
            window=window,
            dynamic=dynamic,
            smoothing=smoothing,
            shift=shift,
            subsample=subsample,
        )
        self.weighting = weighting
        self.add_contexts = add_contexts

    def learn(
        self, text: CountedText, dim: int, *, seed: int, progress: LearningProgress
    ) -> NDArray[np.float32]:
        """Return the singular vectors; see `VectorMethod.learn`."""
        size = len(text.words)
        if dim > size:
            raise MtlError(f"dim: expected at most {size:,}, the number of words, got {dim}")
        # The decomposition takes about as long as the counts.
        pairs = self.information(text, seed, lambda done: progress(done / 2))
        left, values, right = _decomposed(pairs, size, dim, seed)
        progress(1.0)
        scales = values**self.weighting
        found = left * scales
        if self.add_contexts:
            found = found + right * scales
        return np.asarray(found.numpy(), dtype=np.float32)


def positive_information(pairs: PairCounts, smoothing: float, shift: float) -> PairCounts:
    """Return the pairs whose shifted mutual information is positive, with this value.

    Args:
        pairs: The counts.
        smoothing: The exponent α; see `PPMI`.
        shift: The number k.
    """
    words, contexts, counts = pairs
    of_words = np.bincount(words, weights=counts)
    of_contexts = np.bincount(contexts, weights=counts)
    smoothed = np.where(of_contexts > 0, of_contexts, 1) ** smoothing * (of_contexts > 0)
    expected = of_words[words] * smoothed[contexts] / smoothed.sum()
    values = np.log(counts) - np.log(expected) - np.log(shift)
    kept = values > 0
    return PairCounts(words[kept], contexts[kept], values[kept])


def _decomposed(
    pairs: PairCounts, size: int, dim: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return U, Σ and V of a sparse matrix by random projections (Halko et al. 2011)."""
    words, contexts, values = (torch.from_numpy(array) for array in pairs)
    with torch.sparse.check_sparse_tensor_invariants(enable=False):
        matrix = torch.sparse_coo_tensor(
            torch.stack([words, contexts]), values.float(), (size, size), is_coalesced=True
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            left, found, right = torch.svd_lowrank(
                matrix, min(size, dim + _OVERSAMPLING), niter=_ITERATIONS
            )
    return left[:, :dim], found[:dim], right[:, :dim]
