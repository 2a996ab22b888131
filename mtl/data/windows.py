"""Overlapping windows of long documents."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple


class Window(NamedTuple):
    """A window of a document, in tokens of the whole document; ends are exclusive.

    The model reads tokens `start` to `end`. Its predictions count for tokens `keep_start` to
    `keep_end`. The other tokens are context; their predictions come from adjacent windows.
    """

    start: int
    end: int
    keep_start: int
    keep_end: int

    @property
    def kept(self) -> slice:
        """The kept tokens of the document."""
        return slice(self.keep_start, self.keep_end)

    @property
    def kept_inside(self) -> slice:
        """The kept tokens, counted from the start of the window."""
        return slice(self.keep_start - self.start, self.keep_end - self.start)


def windows(length: int, limit: int, overlap: int) -> list[Window]:
    """Split a document into windows whose kept ranges cover each token once.

    Every kept token has at least `overlap // 2` tokens of context on each side, except near the
    ends of the document. The number of windows is minimal; each has `limit` tokens, and they are
    evenly spaced.

    >>> [(w.start, w.end, w.keep_start, w.keep_end) for w in windows(10, limit=6, overlap=2)]
    [(0, 6, 0, 5), (4, 10, 5, 10)]

    Args:
        length: Number of tokens of the document.
        limit: Maximum number of tokens per window; a shorter document is one window.
        overlap: Minimum number of tokens that adjacent windows share, less than `limit`.

    Raises:
        ValueError: The overlap is negative, or not less than `limit`.
    """
    if not 0 <= overlap < limit:
        raise ValueError(f"expected 0 <= overlap < limit, got {overlap=} and {limit=}")
    if length <= limit:
        return [Window(0, length, 0, length)]
    steps = -(-(length - limit) // (limit - overlap))
    starts = [i * (length - limit) // steps for i in range(steps + 1)]
    # Adjacent windows meet in the middle of their overlap, where both have equal context.
    middles = [(start + limit + following) // 2 for start, following in pairwise(starts)]
    keeps = pairwise([0, *middles, length])
    return [Window(start, start + limit, *keep) for start, keep in zip(starts, keeps, strict=True)]
