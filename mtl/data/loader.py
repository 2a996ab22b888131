"""The batches of a corpus, pass after pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from mtl.data.batching import Indices, batches
from mtl.data.corpus import Split
from mtl.data.windows import windows
from mtl.text.example import Example


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a document: all of it, or a window when it is too long."""

    row: int
    start: int
    end: int


def cut(example: Example, start: int, end: int) -> Example:
    """Return the tokens from `start` to `end` with their labels; sentence labels stay."""
    if start == 0 and end >= len(example):
        return example
    labels = {
        task: label if isinstance(label, str) else label[start:end]
        for task, label in example.labels.items()
    }
    return replace(example, tokens=example.tokens[start:end], labels=labels)


class Loader:
    """Cuts one split of a corpus into batches, in an order of its own for every pass.

    A document longer than `max_length` comes in overlapping windows; nothing is left out.

    Args:
        name: The name of the corpus.
        split: Its sentences.
        seed: The seed of the run.
        max_tokens: The most tokens in a batch, padding counted; null for no such limit.
        sentences: The most sentences in a batch; null for no such limit.
        max_length: The most tokens of a sentence that are taken at once.
        overlap: How many tokens neighbouring windows share.
    """

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
    ) -> None:
        self.name = name
        self.split = split
        self._pieces = [
            Piece(row, window.start, window.end)
            for row, length in enumerate(split.lengths.tolist())
            for window in windows(length, max_length, overlap)
        ]
        lengths = np.array([piece.end - piece.start for piece in self._pieces])
        # Two passes can be open at once: one that ends and one that begins.
        self._pass = lru_cache(maxsize=2)(
            lambda epoch: batches(
                lengths,
                seed=seed,
                corpus=name,
                epoch=epoch,
                max_tokens=max_tokens,
                sentences=sentences,
            )
        )
        self.windowed = len(self._pieces) - len(split)

    @cached_property
    def size(self) -> int:
        """The number of batches in one pass."""
        return len(self._pass(0))

    def examples(self, epoch: int, index: int) -> Sequence[Example]:
        """Return the sentences of one batch of one pass, both counted from 0."""
        chosen: Indices = self._pass(epoch)[index]
        pieces = [self._pieces[i] for i in chosen.tolist()]
        whole = self.split.examples([piece.row for piece in pieces])
        return [cut(e, p.start, p.end) for e, p in zip(whole, pieces, strict=True)]
