"""Running text for language models, split into parallel streams.

A text of N words is split into B streams of N / B words. A batch contains one chunk of each
stream, and the next batch continues where it ended, so that the state can be carried over. `END`
follows each sentence.
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
"""Standard deviation of the length of a chunk (Merity et al. 2017)."""


class Streams:
    """Splits one split of a corpus into streams, and the streams into chunks.

    Every word is read once per pass. Chunk lengths are the same in every pass, but their order
    differs. While the chunks still grow, a pass over the text takes more batches than `size`. The
    sampler counts `size` batches as one pass, so its first passes end inside the text.

    Args:
        name: The name of the corpus.
        split: The sentences.
        seed: The seed of the run.
        sides: Task to the word it predicts: the "next", the "previous" or the "same" word.
        streams: Number of streams B.
        bptt: Words per chunk: the length of backpropagation through time.
        random_bptt: Whether chunk lengths vary around `bptt`; one in twenty is about half as long.
        growing_bptt: Number of passes, as a multiple of `size`, over which chunks grow to `bptt`.
        overlap: Number of words at the end of a chunk that the next one reads again, for the state
            alone: they have no label there. So the gradient of each word reaches at least this far
            back (Sutskever 2013).
        part: The part of the streams to return, from 0, and the number of parts: one per process.
    """

    carries = True
    """Whether a batch continues where the batch before it ended."""
    windowed = 0
    """Number of windows in excess of the number of sentences; streams have no windows."""

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
        overlap: int = 0,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self.name = name
        self.split = split
        self.seed = seed
        self.sides = dict(sides)
        self.streams = streams
        self.bptt = bptt
        self.overlap = overlap
        number, parts = part
        self.own = range(number * streams // parts, (number + 1) * streams // parts)
        """The streams of the part; batches have one row for each."""
        self._ends = np.cumsum(split.lengths.astype(np.int64) + 1)  # of each sentence, with its END
        self.length = -(-int(self._ends[-1]) // streams)  # of a stream; the last may be shorter
        # Lengths are drawn once and shuffled per pass, so that every pass has the same number of
        # batches, as the sampler expects.
        random = generator(seed, name, "bptt")
        self._lengths = _chunk_lengths(self.length, bptt, random, random_bptt)
        self._growing: list[NDArray[np.int64]] = []
        """Chunk lengths of each pass over the text while chunks grow."""
        growing, count = round(growing_bptt * self.size), 0
        while count < growing:
            lengths = _chunk_lengths(self.length, bptt, random, random_bptt, count, growing)
            self._growing.append(lengths)
            count += len(lengths)

    @cached_property
    def size(self) -> int:
        """Number of batches per pass, once the chunks have grown."""
        return len(self._lengths)

    def batch(self, batcher: Batcher, epoch: int, index: int, tasks: Sequence[str]) -> Batch:
        """Return batch `index` of pass `epoch`, both from 0, with targets for `tasks`."""
        batch = batcher.batch(self.examples(epoch, index), tasks)
        lengths, position = self._locate(epoch, index)
        # The loss is a mean over tokens: without the factor, each token of a short chunk would
        # weigh more (Merity et al. 2017).
        factor = float(lengths[position] / self.bptt)
        lead = None
        if self.overlap:
            start, end = self._span(lengths, position)
            first, last = max(0, start - self.overlap), end - self.overlap
            examples = [self._chunk(b * self.length, first, first, last) for b in self.own]
            # After a short first chunk, the next one begins where this one did.
            lead = batcher.batch(examples) if last > first else None
        return replace(batch, continues=position > 0, lead=lead, lr_factor=factor)

    def examples(self, epoch: int, index: int) -> list[Example]:
        """Return one chunk per stream of the part, labelled with the neighbours of each word.

        Words that the chunk before has read too have no labels.
        """
        start, end = self._span(*self._locate(epoch, index))
        first = max(0, start - self.overlap)
        return [self._chunk(b * self.length, first, start, end) for b in self.own]

    def _span(self, lengths: NDArray[np.int64], position: int) -> tuple[int, int]:
        """Return start and end of the new words of a chunk in each stream."""
        start = int(lengths[:position].sum())
        return start, start + int(lengths[position])

    def _locate(self, epoch: int, index: int) -> tuple[NDArray[np.int64], int]:
        """Return the chunk lengths of the pass over the text of a batch, and its index there."""
        number = epoch * self.size + index
        for lengths in self._growing:
            if number < len(lengths):
                return lengths, number
            number -= len(lengths)
        epoch, index = divmod(number, self.size)
        return generator(self.seed, self.name, epoch).permutation(self._lengths), index

    def _chunk(self, offset: int, first: int, start: int, end: int) -> Example:
        """Return the words `first` to `end` of the stream at an offset, labelled from `start` on.

        The last stream may end before.
        """
        total = int(self._ends[-1])
        end = min(offset + end, total, offset + self.length)
        first, start = min(offset + first, end), min(offset + start, end)
        words = self._words(first - 1, end + 1)  # with one word of context on each side
        sides = {"next": words[2:], "previous": words[:-2], "same": words[1:-1]}
        old = start - first
        labels = {task: (*[None] * old, *sides[side][old:]) for task, side in self.sides.items()}
        return Example(words[1:-1], labels)

    def _words(self, start: int, end: int) -> tuple[str, ...]:
        """Return the words `start` to `end` of the text, with END before and after the text."""
        total = int(self._ends[-1])
        inside = max(start, 0), min(end, total)
        first = int(np.searchsorted(self._ends, inside[0], side="right"))
        last = int(np.searchsorted(self._ends, inside[1] - 1, side="right"))
        text = [word for sentence in self.split.words(first, last + 1) for word in (*sentence, END)]
        begin = inside[0] - (int(self._ends[first - 1]) if first else 0)
        words = text[begin : begin + inside[1] - inside[0]]
        return (*[END] * (inside[0] - start), *words, *[END] * (end - inside[1]))


def _chunk_lengths(
    length: int,
    bptt: int,
    random: np.random.Generator,
    vary: bool,
    before: int = 0,
    growing: int = 1,
) -> NDArray[np.int64]:
    """Return the lengths of the chunks of a stream.

    Args:
        length: Length of the stream.
        bptt: Mean length of a chunk.
        random: Random generator.
        vary: Whether lengths vary.
        before: Number of chunks in earlier passes.
        growing: Number of chunks until they have reached their full length.
    """
    lengths: list[int] = []
    remaining = length
    while remaining > 0:
        mean = bptt * min(1.0, (before + len(lengths) + 1) / growing)
        # One chunk in twenty is half as long, so that chunks do not start at the same words in
        # every pass (Merity et al. 2017).
        mean = mean if not vary or random.random() < 0.95 else mean / 2
        drawn = round(random.normal(mean, _SPREAD) if vary else mean)
        lengths.append(min(remaining, max(min(bptt, _SPREAD), drawn)))
        remaining -= lengths[-1]
    return np.array(lengths, dtype=np.int64)
