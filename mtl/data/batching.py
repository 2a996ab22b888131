"""Cutting a corpus into batches of sentences of similar length."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Indices: TypeAlias = NDArray[np.intp]


def generator(*key: int | str) -> np.random.Generator:
    """Return random numbers that depend on the key alone, on every machine."""
    digest = sha256(repr(key).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def batches(
    lengths: Sequence[int] | NDArray[np.integer],
    *,
    seed: int,
    corpus: str,
    epoch: int,
    max_tokens: int | None = None,
    sentences: int | None = None,
    shuffle: bool = True,
) -> list[Indices]:
    """Return the sentences of each batch, every sentence exactly once.

    A pure function of its arguments. How many batches there are, and how long each is, does not
    depend on the epoch: lengths are rounded up to one of eight steps between powers of two, the
    sorted rounded lengths are cut, and those are the same in every epoch. What changes is which of
    the sentences of one rounded length go where, and the order of the batches. Up to 16 tokens
    the rounded length is the true one, above it at most an eighth longer.

    Args:
        lengths: Tokens of each sentence.
        seed: The seed of the run.
        corpus: Its name, so that corpora are shuffled in different ways.
        epoch: The number of the pass over the corpus, from 0.
        max_tokens: The most tokens in a batch, padding counted: B·T. A longer sentence is alone.
        sentences: The most sentences in a batch. At least one of the two limits must be given.
        shuffle: False sorts by length alone, for evaluation: least padding, always the same.

    Raises:
        ValueError: No limit is given, or one below 1.
    """
    if not (limits := [limit for limit in (max_tokens, sentences) if limit is not None]):
        raise ValueError("expected max_tokens or sentences, got neither")
    if min(limits) < 1:
        raise ValueError(f"expected limits from 1, got {max_tokens=} and {sentences=}")
    true = np.maximum(np.asarray(lengths, dtype=np.int64), 1)
    if not shuffle:
        order = np.argsort(true, kind="stable")
        return _slices(order, true[order], max_tokens, sentences)
    random = generator(seed, corpus, epoch)
    rounded = _round_up(true)
    order = np.lexsort((random.random(len(true)), rounded))
    found = _slices(order, rounded[order], max_tokens, sentences)
    return [found[i] for i in random.permutation(len(found))]


def _round_up(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Round up to four significant binary digits: 16, 18, 20, … 32, 36, 40, … 64, 72, …."""
    exponents = np.frexp(lengths)[1]
    unit = np.left_shift(1, np.maximum(exponents - 4, 0).astype(np.int64))
    rounded: NDArray[np.int64] = -(-lengths // unit) * unit
    return rounded


def _slices(
    order: Indices, widths: NDArray[np.int64], max_tokens: int | None, sentences: int | None
) -> list[Indices]:
    return [order[start:end] for start, end in _cuts(widths.tolist(), max_tokens, sentences)]


def _cuts(
    widths: list[int], max_tokens: int | None, sentences: int | None
) -> Iterator[tuple[int, int]]:
    """Yield start and end of each batch of ascending widths, as long as the limits allow."""
    start, total = 0, len(widths)
    while start < total:
        end = min(total, start + sentences) if sentences else total
        if max_tokens:
            # The first sentence is the shortest: it bounds how far one has to look.
            last = min(end, start + max(1, max_tokens // widths[start]))
            ends = range(start + 1, last + 1)
            fitting = bisect_right(ends, max_tokens, key=lambda e: (e - start) * widths[e - 1])
            end = start + max(1, fitting)
        yield start, end
        start = end
