"""Cutting a corpus into parts, the same ones everywhere and every time.

Sentences are put in the order of a hash of their words, and parts are cut out of that order. So
the parts are as good as drawn by chance even from a file that is sorted by label, they depend on
no random state, a sentence keeps its part (but for a few at the borders) when others are added,
and repeated sentences fall into one part rather than leak from training into evaluation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mtl.errors import MtlError


def sentence_hash(tokens: Sequence[str]) -> int:
    """Return 63 bits that depend on the words alone."""
    digest = hashlib.blake2b("\n".join(tokens).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def cut(hashes: np.ndarray, shares: Mapping[Any, str | int]) -> dict[str, np.ndarray]:
    """Cut parts off the training sentences.

    Args:
        hashes: `[sentences]` int64, what `sentence_hash` gives.
        shares: Part to its size: a number of sentences, or a percentage such as "10%".

    Returns:
        The rows of each part in ascending order, and under "train" those that are left.

    Raises:
        MtlError: The parts leave nothing to train on, or one of them is empty.
    """
    order = np.argsort(hashes, kind="stable")
    parts = {}
    start = 0
    # By name, so that the order in a file makes no difference.
    for name in sorted(shares):
        size = _size(shares[name], len(hashes))
        parts[name] = np.sort(order[start : start + size])
        start += size
        if size == 0 or start >= len(hashes):
            left = f"{name}: {shares[name]} of {len(hashes)} sentences"
            raise MtlError(f"{left} leaves a part without sentences; correct `splits:`")
    return {"train": np.sort(order[start:]), **parts}


def _size(share: str | int, total: int) -> int:
    if isinstance(share, int):
        return share
    return round(float(share.rstrip("%")) / 100 * total)


def fold(hashes: np.ndarray, count: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows outside and inside one of `count` folds, each in ascending order.

    The folds are disjoint, cover everything, and differ in size by one at most.

    Args:
        hashes: `[sentences]` int64, what `sentence_hash` gives.
        count: The number of folds.
        number: Which of them, from 0.

    Raises:
        MtlError: There are fewer sentences than folds.
    """
    if len(hashes) < count:
        raise MtlError(f"{count} folds need as many sentences; there are {len(hashes)}")
    folds = np.array_split(np.argsort(hashes, kind="stable"), count)
    inside = np.sort(folds.pop(number))
    return np.sort(np.concatenate(folds)), inside
