"""The batches of a corpus, for each pass over the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mtl.data.batching import Indices, batches, dealt
from mtl.data.corpus import Split
from mtl.data.sampling import SentenceSampler
from mtl.data.windows import windows
from mtl.text.example import Example

if TYPE_CHECKING:
    from mtl.data.batch import Batch
    from mtl.data.encoding import Batcher

_ROWS = 1024
"""The number of sentences that are counted together."""


def pieces(lengths: NDArray[np.int32], max_length: int, overlap: int) -> NDArray[np.int32]:
    """Return row, start and end of each piece of a split, `[pieces, 3]`, in order.

    A piece is a whole sentence, or a window of a sentence that is too long.

    Args:
        lengths: Tokens of each sentence.
        max_length: The most tokens of a piece.
        overlap: The number of tokens that neighbouring windows share; with 0 each token is in
            exactly one window.
    """
    long = np.flatnonzero(lengths > max_length)
    cut = {
        row: [
            (w.start, w.end) if overlap else (w.keep_start, w.keep_end)
            for w in windows(int(lengths[row]), max_length, overlap)
        ]
        for row in long.tolist()
    }
    number = np.ones(len(lengths), dtype=np.int32)
    number[long] = [len(parts) for parts in cut.values()]
    # Numbers of 32 bits, and no copies of whole columns: a large corpus has millions of rows.
    found = np.zeros((int(number.sum(dtype=np.int64)), 3), dtype=np.int32)
    found[:, 0] = np.repeat(np.arange(len(lengths), dtype=np.int32), number)
    found[:, 2] = lengths[found[:, 0]]
    if len(long):
        first = np.cumsum(number, dtype=np.int64) - number
        places = [np.arange(first[row], first[row] + number[row]) for row in long]
        found[np.concatenate(places), 1:] = [part for parts in cut.values() for part in parts]
    return found


class Loader:
    """Divides one split of a corpus into batches, in a different order for each pass.

    A document longer than `max_length` is read in overlapping windows; no token is left out.

    Args:
        name: The name of the corpus.
        split: Its sentences.
        seed: The seed of the run.
        max_tokens: The most tokens in a batch, padding included; None for no limit.
        sentences: The most sentences in a batch; None for no limit.
        max_length: The most tokens in a window.
        overlap: The number of tokens that neighbouring windows share.
        sampler: Draws the sentences of each pass, with batches of a number of sentences; None:
            each sentence once.
        part: The part of each batch to return, from 0, and the number of parts: one per process.
        positions: Returns the number of positions of a text, which counts as its number of tokens
            in a batch; see `Batcher.positions`. None: its number of words.
    """

    carries = False
    """Whether a batch continues where the batch before it ended."""

    def __init__(
        self,
        name: str,
        split: Split,
        seed: int,
        *,
        max_tokens: int | None,
        sentences: int | None,
        max_length: int,
        overlap: int,
        sampler: SentenceSampler | None = None,
        part: tuple[int, int] = (0, 1),
        positions: Callable[[Sequence[str]], int] | None = None,
    ) -> None:
        self._part = part
        self.sampler = sampler
        self.name = name
        self.split = split
        self._pieces = pieces(split.lengths, max_length, overlap)
        lengths = self._pieces[:, 2] - self._pieces[:, 1]
        if positions:
            lengths = self._counted(positions)
        self.longest = int(lengths.max(initial=0))
        """The number of positions of the longest piece."""

        def divide(epoch: int) -> list[Indices]:
            drawn = sampler.draw(self._pieces[:, 0], epoch) if sampler else None
            found = batches(
                lengths if drawn is None else lengths[drawn],
                seed=seed,
                corpus=name,
                epoch=epoch,
                max_tokens=max_tokens,
                sentences=sentences,
            )
            return found if drawn is None else [drawn[own] for own in found]

        # Two passes may be in use at once: one that ends and one that begins.
        self._pass = lru_cache(maxsize=2)(divide)
        self.windowed = len(self._pieces) - len(split)
        """The number of windows beyond one per sentence."""

    @cached_property
    def size(self) -> int:
        """The number of batches in one pass."""
        return len(self._pass(0))

    def _counted(self, positions: Callable[[Sequence[str]], int]) -> NDArray[np.int32]:
        """Return the number of positions of each piece."""
        counts: list[int] = []
        for first in range(0, len(self.split), _ROWS):
            last = min(first + _ROWS, len(self.split))
            words = self.split.words(first, last)
            begin, end = np.searchsorted(self._pieces[:, 0], [first, last])
            counts += [positions(words[row - first][a:b]) for row, a, b in self._pieces[begin:end]]
        return np.array(counts, dtype=np.int32)

    def batch(self, batcher: Batcher, epoch: int, index: int, tasks: Sequence[str]) -> Batch:
        """Return one batch of one pass, both counted from 0, with targets for some tasks.

        A part without sentences is an empty batch.
        """
        return batcher.batch(self.examples(epoch, index), tasks)

    def pieces(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Return row, start and end of each piece of a batch, `[pieces, 3]`; see `pieces`."""
        chosen: Indices = self._pass(epoch)[index]
        found: NDArray[np.int64] = self._pieces[chosen].astype(np.int64)
        if self._part == (0, 1):
            return found
        return found[dealt(found[:, 2] - found[:, 1], *self._part)]

    def examples(self, epoch: int, index: int) -> Sequence[Example]:
        """Return the sentences of one batch of one pass, both counted from 0."""
        rows, starts, ends = self.pieces(epoch, index).T.tolist()
        whole = self.split.examples(rows)
        pieces = zip(whole, starts, ends, strict=True)
        return [example.cut(start, end) for example, start, end in pieces]
