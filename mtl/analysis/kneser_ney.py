"""N-gram language models, the baseline of neural ones. Letters: M words of a text, V word types."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class _Order:
    """The n-grams of one order.

    Args:
        keys: Sorted: the number of the context times V, plus the last word.
        discounted: The count of each n-gram, minus its discount.
        totals: The sum of the counts by context.
        rests: The probability that the discounts leave to the shorter context, by context.
    """

    keys: Ids
    discounted: NDArray[np.float64]
    totals: NDArray[np.float64]
    rests: NDArray[np.float64]

    def find(self, keys: Ids) -> Ids:
        """Return the number of each n-gram, −1 if it is unknown."""
        places = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)


class KneserNey:
    """An n-gram model with interpolated modified Kneser–Ney smoothing (Chen & Goodman 1999).

    p(w | h) = (c(hw) − D(c(hw))) / Σ_v c(hv) + γ(h) p(w | h'), where h' is h without its first word
    and γ(h) makes the sum over w one. For the longest contexts, c is the number of occurrences; for
    shorter ones, the number of different words before hw. There are three discounts D per order,
    for counts of 1, 2 and more, from the numbers of n-grams with counts of 1 to 4. The shortest
    context is interpolated with 1/V.

    Args:
        text: `[M]`, word ids in [0, V).
        num_words: The number of word types V.
        order: The largest n.

    Raises:
        ValueError: The text is shorter than an n-gram.
    """

    def __init__(self, text: Ids, num_words: int, order: int = 5) -> None:
        if len(text) < order:
            raise ValueError(f"text: expected at least {order} words, got {len(text)}")
        self.num_words = num_words
        self.orders: list[_Order] = []
        before = np.zeros(len(text) + 1, dtype=np.int64)
        found = []  # by order: the keys, their counts and the n-gram that ends at each word
        for _ in range(order):
            keys = _keys(before, text, num_words)
            known = keys >= 0
            own, first, counts = np.unique(keys[known], return_index=True, return_counts=True)
            numbers = np.where(known, np.searchsorted(own, keys), -1)
            found.append((own, counts, numbers, np.flatnonzero(known)[first]))
            before = np.concatenate([[-1], numbers])
        for n, (own, counts, numbers, _) in enumerate(found):
            if n + 1 < order:
                # One position of each longer n-gram: the n-gram that ends there is its end.
                ends = numbers[found[n + 1][3]]
                counts = np.bincount(ends, minlength=len(own))
            self.orders.append(_smoothed(own, counts, num_words))

    def log_probs(self, text: Ids) -> NDArray[np.float64]:
        """Return log p of each word of a text, `[M]`, given the words of the text before it."""
        probs = np.full(len(text), 1 / self.num_words)
        context = np.zeros(len(text) + 1, dtype=np.int64)
        for own in self.orders:
            keys = _keys(context, text, self.num_words)
            numbers = own.find(keys)
            h = context[:-1]
            known = (h >= 0) & (own.totals[h] > 0)
            seen = np.where(numbers >= 0, own.discounted[numbers], 0)
            with np.errstate(invalid="ignore", divide="ignore"):
                longer = seen / own.totals[h] + own.rests[h] * probs
            probs = np.where(known, longer, probs)
            context = np.concatenate([[-1], numbers])
        log_probs: NDArray[np.float64] = np.log(probs)
        return log_probs


def _keys(before: Ids, text: Ids, num_words: int) -> Ids:
    """Return the key of the n-gram that ends at each word; negative if its context is unknown."""
    return np.where(before[:-1] >= 0, before[:-1] * num_words + text, -1)


def _smoothed(keys: Ids, counts: Ids, num_words: int) -> _Order:
    contexts = keys // num_words
    discounts = _discounts(counts)[counts.clip(max=3)]
    size = int(contexts.max()) + 1
    totals = np.bincount(contexts, counts, size).astype(float)
    left = np.bincount(contexts, discounts, size)
    rests = np.divide(left, totals, out=np.zeros(size), where=totals > 0)
    return _Order(keys, counts - discounts, totals, rests)


def _discounts(counts: Ids) -> NDArray[np.float64]:
    """Return the discount of counts 0, 1, 2 and more."""
    n = np.bincount(counts.clip(max=5), minlength=6).astype(float)
    share = n[1] / (n[1] + 2 * n[2]) if n[1] else 0.5
    if not n[1:5].all():  # a tiny text: one discount for all (Ney et al. 1994)
        return np.array([0, share, share, share])
    return np.array([0, *(k - (k + 1) * share * n[k + 1] / n[k] for k in (1, 2, 3))])
