"""Running text for language models: cut into streams, which are read side by side.

B streams of a text of N words are its B parts of N / B words. A batch is a piece of each, and the
next batch goes on where it ended, so that the state can be carried. `END` follows each sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mtl.data.batching import generator
from mtl.data.corpus import Split
from mtl.text.example import Example
from mtl.text.running import END

if TYPE_CHECKING:
    from mtl.data.batch import Batch
    from mtl.data.encoding import Batcher

_SPREAD = 5
"""Standard deviation of the length of a piece (Merity et al. 2017)."""


class Streams:
    """Cuts one split of a corpus into streams and these into pieces.

    Every word is read once a pass. The lengths of the pieces are the same in every pass, their
    order is not. Pieces that grow make passes of more batches than others; what is called a pass
    by those who draw batches has as many as the others, and so ends within the text for a while.

    Args:
        name: The name of the corpus.
        split: Its sentences.
        seed: The seed of the run.
        sides: Task to whether it predicts the "next" word, the "previous" or the "same" one.
        streams: The number of streams B.
        bptt: Words of a piece: how far the gradient goes back.
        random_bptt: Whether the length varies: about `bptt`, one time in twenty about half of it.
        growing_bptt: Over how many times the batches of a pass the length grows to `bptt`, batch by
            batch.
    """

    carries = True
    """Whether a batch goes on where the one before it ended."""
    windowed = 0
    """How many windows there are more than sentences."""

    def __init__(
        self,
        name: str,
        split: Split,
        seed: int,
        sides: Mapping[str, str],
        *,
        streams: int,
        bptt: int,
        random_bptt: bool,
        growing_bptt: float = 0,
    ) -> None:
        self.name = name
        self.split = split
        self.seed = seed
        self.sides = dict(sides)
        self.streams = streams
        self.bptt = bptt
        self._ends = np.cumsum(split.lengths.astype(np.int64) + 1)  # of each sentence, with its END
        self.length = -(-int(self._ends[-1]) // streams)  # of a stream; the last may be shorter
        random = generator(seed, name, "bptt")
        self._lengths = _pieces(self.length, bptt, random, random_bptt)
        self._growing: list[NDArray[np.int64]] = []
        """The lengths of the pieces of each pass in which they grow."""
        growing, number = round(growing_bptt * self.size), 0
        while number < growing:
            lengths = _pieces(self.length, bptt, random, random_bptt, number, growing)
            self._growing.append(lengths)
            number += len(lengths)

    @cached_property
    def size(self) -> int:
        """The number of batches in one pass, once the pieces have grown."""
        return len(self._lengths)

    def batch(self, batcher: Batcher, epoch: int, index: int, tasks: Sequence[str]) -> Batch:
        """Return one batch of one pass, both counted from 0, with targets for some tasks."""
        batch = batcher.batch(self.examples(epoch, index), tasks)
        lengths, place = self._place(epoch, index)
        return replace(batch, continues=place > 0, lr_factor=float(lengths[place] / self.bptt))

    def examples(self, epoch: int, index: int) -> list[Example]:
        """Return a piece of each stream, as sentences whose labels are the words beside theirs."""
        lengths, place = self._place(epoch, index)
        start = int(lengths[:place].sum())
        end = start + int(lengths[place])
        return [self._piece(b * self.length, start, end) for b in range(self.streams)]

    def _place(self, epoch: int, index: int) -> tuple[NDArray[np.int64], int]:
        """Return the lengths of the pieces of the pass that a batch is of, and its place there."""
        number = epoch * self.size + index
        for lengths in self._growing:
            if number < len(lengths):
                return lengths, number
            number -= len(lengths)
        epoch, index = divmod(number, self.size)
        return generator(self.seed, self.name, epoch).permutation(self._lengths), index

    def _piece(self, offset: int, start: int, end: int) -> Example:
        total = int(self._ends[-1])
        end = min(offset + end, total, offset + self.length)
        start = min(offset + start, end)
        words = self._words(start - 1, end + 1)  # with the word before and the one behind
        sides = {"next": words[2:], "previous": words[:-2], "same": words[1:-1]}
        return Example(words[1:-1], {task: sides[side] for task, side in self.sides.items()})

    def _words(self, start: int, end: int) -> tuple[str, ...]:
        """Return the words of the text from `start` to `end`; beyond it there is END."""
        total = int(self._ends[-1])
        inside = max(start, 0), min(end, total)
        first = int(np.searchsorted(self._ends, inside[0], side="right"))
        last = int(np.searchsorted(self._ends, inside[1] - 1, side="right"))
        text = [word for sentence in self.split.words(first, last + 1) for word in (*sentence, END)]
        begin = inside[0] - (int(self._ends[first - 1]) if first else 0)
        found = text[begin : begin + inside[1] - inside[0]]
        return (*[END] * (inside[0] - start), *found, *[END] * (end - inside[1]))


def _pieces(
    length: int,
    bptt: int,
    random: np.random.Generator,
    vary: bool,
    before: int = 0,
    growing: int = 1,
) -> NDArray[np.int64]:
    """Return the lengths of the pieces of a stream.

    Args:
        length: That of the stream.
        bptt: That of a piece.
        random: Random numbers.
        vary: Whether pieces vary.
        before: The pieces of passes before this one.
        growing: The number of the first piece, from 1, that is as long as asked.
    """
    lengths: list[int] = []
    left = length
    while left > 0:
        mean = bptt * min(1.0, (before + len(lengths) + 1) / growing)
        mean = mean if not vary or random.random() < 0.95 else mean / 2
        wanted = round(random.normal(mean, _SPREAD) if vary else mean)
        lengths.append(min(left, max(min(bptt, _SPREAD), wanted)))
        left -= lengths[-1]
    return np.array(lengths, dtype=np.int64)
