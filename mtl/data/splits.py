"""Reproducible splits of a corpus.

Sentences are sorted by a hash of their words, and the splits are slices of that order:

- Splits are as good as random, even for a file that is sorted by label.
- They do not depend on a random state or on the machine.
- When sentences are added, the others keep their split, except a few at the borders.
- Repeated sentences fall into the same split, except at the border between two splits. So they
  hardly leak from training into evaluation.
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


def fold(
    hashes: np.ndarray,
    count: int,
    number: int,
    *,
    seed: int | None = None,
    documents: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the row indices outside and inside one of `count` folds, each in ascending order.

    The folds are disjoint, cover all sentences, and differ in size by at most one sentence; with
    documents, by at most the longest document.

    Args:
        hashes: `[sentences]` int64, the output of `sentence_hash`.
        count: Number of folds.
        number: Index of the fold, from 0.
        seed: Seed of the order in which sentences are assigned; None: the order of the hashes.
        documents: The document of each sentence, `[sentences]` int; None: sentences are assigned
            independently.

    Raises:
        MtlError: There are fewer sentences, or documents, than folds.
    """
    units, noun = len(hashes), "sentences"
    if documents is not None:
        units, noun = len(np.unique(documents)), "documents"
    if units < count:
        raise MtlError(
            f"{count} folds need at least {count} {noun}, found {units}; use fewer folds"
        )
    keys = hashes.astype(np.uint64) if seed is None else _mixed(hashes, seed)
    if documents is None:
        folds = np.array_split(np.argsort(keys, kind="stable"), count)
    else:
        folds = _whole_documents(keys, documents, count)
    inside = np.sort(folds.pop(number))
    return np.sort(np.concatenate(folds)), inside


def _mixed(hashes: np.ndarray, seed: int) -> np.ndarray:
    """Return other hashes for each seed, `[sentences]` uint64; equal hashes stay equal."""
    # The output function of SplitMix64 (Steele et al. 2014); products wrap around.
    step = np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    mixed = hashes.astype(np.uint64) + step
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return result


def _whole_documents(keys: np.ndarray, documents: np.ndarray, count: int) -> list[np.ndarray]:
    """Return the rows of each fold: documents in the order of their keys, to the smallest fold."""
    names, first, owner = np.unique(documents, return_index=True, return_inverse=True)
    sizes = np.bincount(owner, minlength=len(names))
    folds = np.zeros(len(names), dtype=np.int64)
    filled = np.zeros(count, dtype=np.int64)
    for document in np.argsort(keys[first], kind="stable"):
        folds[document] = filled.argmin()
        filled[folds[document]] += sizes[document]
    return [np.flatnonzero(folds[owner] == number) for number in range(count)]
