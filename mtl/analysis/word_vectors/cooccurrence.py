"""Counts of words near each other. Letters: V words, P different pairs of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtl.analysis.word_vectors.base import LearningProgress
from mtl.analysis.word_vectors.text import CountedText


class PairCounts(NamedTuple):
    """The number of times that a word has a context word near it, for all pairs that occur.

    Pairs are sorted by word, then by context. The counts are symmetric.

    Args:
        words: `[P]` int64, the id of the word.
        contexts: `[P]` int64, the id of the context word.
        counts: `[P]` float64, the weighted number of occurrences.
    """

    words: NDArray[np.int64]
    contexts: NDArray[np.int64]
    counts: NDArray[np.float64]


def count_pairs(
    text: CountedText, weights: Sequence[float], progress: LearningProgress = lambda done: None
) -> PairCounts:
    """Count the pairs of words within a window, on both sides and within the sentence.

    Args:
        text: The text.
        weights: The weight of a pair at distance 1, 2, …; their number is the reach of the window.
        progress: Called with the share of the distances that is done.
    """
    size = len(text.words)
    keys: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    counts: NDArray[np.float64] = np.zeros(0)
    ids = text.ids.astype(np.int64)
    for distance, weight in enumerate(weights, 1):
        same = text.lines[:-distance] == text.lines[distance:]
        found = ids[:-distance][same] * size + ids[distance:][same]
        found, times = np.unique(found, return_counts=True)
        # One distance after the other: all pairs of a text would not fit into memory.
        keys, counts = _summed(
            np.concatenate([keys, found]), np.concatenate([counts, weight * times])
        )
        progress(distance / len(weights))
    turned = keys % size * size + keys // size
    keys, counts = _summed(np.concatenate([keys, turned]), np.concatenate([counts, counts]))
    return PairCounts(keys // size, keys % size, counts)


def _summed(
    keys: NDArray[np.int64], counts: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the different keys in order, and the sum of the counts of each."""
    different, places = np.unique(keys, return_inverse=True)
    sums = np.bincount(places, weights=counts, minlength=len(different))
    return different, sums.astype(np.float64)
