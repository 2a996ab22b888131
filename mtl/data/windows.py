"""Long documents in overlapping pieces."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple


class Window(NamedTuple):
    """A piece of a document; all ends are exclusive and count tokens of the whole document.

    The model reads tokens `start` to `end`; what it says of tokens `keep_start` to `keep_end`
    counts. The rest is context, and is kept in the windows next to it.
    """

    start: int
    end: int
    keep_start: int
    keep_end: int


def windows(length: int, limit: int, overlap: int) -> list[Window]:
    """Cut a document into windows whose kept parts make up the whole, each token once.

    Every kept token has at least `overlap // 2` tokens of context on either side, or all there
    are. The windows are as few as that allows, all of `limit` tokens, and evenly spread.

    >>> [(w.start, w.end, w.keep_start, w.keep_end) for w in windows(10, limit=6, overlap=2)]
    [(0, 6, 0, 5), (4, 10, 5, 10)]

    Args:
        length: Tokens of the document.
        limit: The most tokens in a window; a document that is no longer is one window.
        overlap: The fewest tokens that two windows share, less than `limit`.

    Raises:
        ValueError: The overlap is negative, or does not leave any token of a window to be kept.
    """
    if not 0 <= overlap < limit:
        raise ValueError(f"expected 0 <= overlap < limit, got {overlap=} and {limit=}")
    if length <= limit:
        return [Window(0, length, 0, length)]
    steps = -(-(length - limit) // (limit - overlap))
    starts = [i * (length - limit) // steps for i in range(steps + 1)]
    middles = [(start + limit + following) // 2 for start, following in pairwise(starts)]
    kept = pairwise([0, *middles, length])
    return [Window(start, start + limit, *keep) for start, keep in zip(starts, kept, strict=True)]
