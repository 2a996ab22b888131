"""Batches of sentences of similar length."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Indices: TypeAlias = NDArray[np.int32] | NDArray[np.intp]


def generator(*key: int | str) -> np.random.Generator:
    """Return a random generator whose seed is a hash of the key, the same on every machine."""
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
    """Return the row indices of each batch; every sentence is in exactly one batch.

    This is a pure function of its arguments. The number and the sizes of the batches do not depend
    on the epoch. Lengths are rounded up to one of eight values between two powers of two, and
    batches are slices of the sorted rounded lengths. Per epoch, sentences of the same rounded
    length are shuffled, and so is the order of the batches. Lengths up to 16 are not rounded;
    longer ones grow by an eighth at most.

    Args:
        lengths: Number of tokens of each sentence.
        seed: The seed of the run.
        corpus: The name of the corpus, so that corpora are shuffled differently.
        epoch: Index of the pass over the corpus, from 0.
        max_tokens: Maximum number of tokens per batch, including padding (B·T). A longer sentence
            is a batch of its own.
        sentences: Maximum number of sentences per batch. At least one of the two limits is needed.
        shuffle: False sorts by length only, for evaluation: least padding, always the same order.

    Raises:
        ValueError: Neither limit is set, or a limit is below 1.
    """
    if not (limits := [limit for limit in (max_tokens, sentences) if limit is not None]):
        raise ValueError("expected max_tokens or sentences, got neither")
    if min(limits) < 1:
        raise ValueError(f"expected limits from 1, got {max_tokens=} and {sentences=}")
    # Orders and lengths have 32 bits: a large corpus has millions of sentences.
    exact = np.maximum(np.asarray(lengths, dtype=np.int32), 1)
    if not shuffle:
        order = np.argsort(exact, kind="stable").astype(np.int32)
        return _slices(order, exact[order], max_tokens, sentences)
    random = generator(seed, corpus, epoch)
    # Without rounding, sentences of a rare length would meet the same sentences in every epoch.
    rounded = _round_up(exact)
    order = np.lexsort((random.random(len(exact)), rounded)).astype(np.int32)
    slices = _slices(order, rounded[order], max_tokens, sentences)
    return [slices[i] for i in random.permutation(len(slices))]


def dealt(lengths: Sequence[int] | NDArray[np.integer], part: int, parts: int) -> Indices:
    """Return the sentences of a batch that one of several parts gets, in ascending order.

    Every sentence is in exactly one part. The parts have nearly equal numbers of sentences and of
    tokens.

    Args:
        lengths: Number of tokens of each sentence of the batch.
        part: The number of the part, from 0.
        parts: The number of parts.
    """
    descending = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    # Dealt in turns that change direction: 0 1 2, 2 1 0, …, so that no part always gets the longer.
    turn, place = np.divmod(np.arange(len(descending)), parts)
    owner = np.where(turn % 2 == 0, place, parts - 1 - place)
    chosen: Indices = np.sort(descending[owner == part])
    return chosen


def _round_up(lengths: NDArray[np.int32]) -> NDArray[np.int32]:
    """Round up to four significant binary digits: 16, 18, 20, … 32, 36, 40, … 64, 72, …."""
    exponents = np.frexp(lengths)[1]
    unit = np.left_shift(np.int32(1), np.maximum(exponents - 4, 0).astype(np.int32))
    rounded: NDArray[np.int32] = -(-lengths // unit) * unit
    return rounded


def _slices(
    order: Indices, widths: NDArray[np.int32], max_tokens: int | None, sentences: int | None
) -> list[Indices]:
    return [order[start:end] for start, end in _cuts(widths, max_tokens, sentences)]


def _cuts(
    widths: NDArray[np.int32], max_tokens: int | None, sentences: int | None
) -> Iterator[tuple[int, int]]:
    """Yield start and end of each batch of ascending widths; batches are as large as allowed."""
    start, total = 0, len(widths)
    while start < total:
        end = min(total, start + sentences) if sentences else total
        if max_tokens:
            # The first sentence is the shortest, which bounds the number of candidates.
            last = min(end, start + max(1, max_tokens // int(widths[start])))
            ends = range(start + 1, last + 1)
            fitting = bisect_right(ends, max_tokens, key=lambda e: (e - start) * int(widths[e - 1]))
            end = start + max(1, fitting)
        yield start, end
        start = end
