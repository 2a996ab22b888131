"""Reproducible splits of a corpus.

Sentences are sorted by a hash of their words, and the splits are slices of that order:

- Splits are as good as random, even for a file that is sorted by label.
- They do not depend on a random state or on the machine.
- When sentences are added, the others keep their split, except a few at the borders.
- Repeated sentences fall into the same split, and do not leak from training into evaluation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mtl.errors import MtlError


def sentence_hash(tokens: Sequence[str]) -> int:
    """Return a 63-bit hash of the words; unlike `hash`, it is the same in every process."""
    digest = hashlib.blake2b("\n".join(tokens).encode(), digest_size=8).digest()
    # One bit less, so that the hash fits into a signed 64-bit column.
    return int.from_bytes(digest, "little") >> 1


def cut(hashes: np.ndarray, shares: Mapping[Any, str | int]) -> dict[str, np.ndarray]:
    """Take splits from the training sentences.

    Args:
        hashes: `[sentences]` int64, the output of `sentence_hash`.
        shares: Split to its size: a number of sentences, or a percentage such as "10%".

    Returns:
        The row indices of each split in ascending order; "train" contains the remaining rows.

    Raises:
        MtlError: A split is empty, or no training sentences remain.
    """
    order = np.argsort(hashes, kind="stable")
    parts = {}
    start = 0
    # Sorted by name, so that the order in the configuration makes no difference.
    for name in sorted(shares):
        size = _size(shares[name], len(hashes))
        parts[name] = np.sort(order[start : start + size])
        start += size
        if size == 0 or start >= len(hashes):
            share = f"{name}: {shares[name]} of {len(hashes)} sentences"
            raise MtlError(f"{share} leaves a split without sentences; correct `splits:`")
    return {"train": np.sort(order[start:]), **parts}


def _size(share: str | int, total: int) -> int:
    if isinstance(share, int):
        return share
    return round(float(share.rstrip("%")) / 100 * total)


def fold(hashes: np.ndarray, count: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the row indices outside and inside one of `count` folds, each in ascending order.

    The folds are disjoint, cover all sentences, and differ in size by at most one.

    Args:
        hashes: `[sentences]` int64, the output of `sentence_hash`.
        count: Number of folds.
        number: Index of the fold, from 0.

    Raises:
        MtlError: There are fewer sentences than folds.
    """
    if len(hashes) < count:
        raise MtlError(
            f"{count} folds need at least {count} sentences, found {len(hashes)}; use fewer folds"
        )
    folds = np.array_split(np.argsort(hashes, kind="stable"), count)
    inside = np.sort(folds.pop(number))
    return np.sort(np.concatenate(folds)), inside
