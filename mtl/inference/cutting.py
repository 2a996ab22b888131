"""Cutting a stream of texts into chunks, passes, windows and batches, without torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mtl.data.batching import batches
from mtl.data.windows import Window, windows
from mtl.inference.inputs import Sentence

if TYPE_CHECKING:
    from mtl.inference.prediction import Prediction

CHUNK = 4096
"""Sentences per chunk; sentences of similar length in a chunk form batches.

It bounds the memory for streams of any length."""
CHUNK_CHARACTERS = 1 << 17
"""A chunk ends after the sentence that brings it to this number of characters.

Few enough that the distinct words of a chunk are a small part of the table of words."""

_PADDED = 1 << 18
"""The most characters of words that are embedded together, padding included."""

_Item = TypeVar("_Item")
_windows_of = lru_cache(1024)(windows)


class Piece(NamedTuple):
    """A window of a sentence.

    Args:
        row: The index of the sentence in its chunk.
        window: The window.
    """

    row: int
    window: Window


class Cutter:
    """Cuts the texts of a chunk into windows, and the windows into batches.

    Args:
        max_length: Longer sentences are read in windows of this many tokens.
        overlap: The number of tokens that neighbouring windows share.
        max_tokens: The most tokens per batch, padding included.
    """

    def __init__(self, max_length: int, overlap: int, max_tokens: int) -> None:
        self.max_length = max_length
        self.overlap = overlap
        self.max_tokens = max_tokens

    def passes(
        self, sentences: Sequence[Sentence], tasks: Sequence[str], by_sentence: Collection[str]
    ) -> Iterator[tuple[Sequence[str], list[Piece]]]:
        """Yield the passes through the trunk: the tasks of a pass, and the windows that they read.

        Items of one sentence need one pass for all tasks.

        Args:
            sentences: The items.
            tasks: The tasks.
            by_sentence: The tasks that read each sentence of a text by itself.
        """
        split = [task for task in tasks if task in by_sentence]
        whole = [task for task in tasks if task not in by_sentence]
        one, several = [], []
        for row, sentence in enumerate(sentences):
            if split and whole and len(sentence.bounds) > 1:
                several.append(row)
            elif sentence.example.tokens:
                one.append(row)
        for together, rows in ((tasks, one), (split, several), (whole, several)):
            if rows:
                yield (
                    together,
                    [
                        Piece(row, window)
                        for row in rows
                        for window in self.windows(sentences[row], together == whole)
                    ],
                )

    def windows(self, sentence: Sentence, whole: bool) -> list[Window]:
        """Return the windows of an item. A pair has one window: it is read whole.

        Args:
            sentence: The item.
            whole: Whether a text is read as a whole, and not sentence by sentence.
        """
        example = sentence.example
        length = len(example.tokens)
        if example.second is not None:
            return [Window(0, length, 0, length)]
        if whole or sentence.text is None or len(sentence.bounds) == 1:
            return _windows_of(length, self.max_length, self.overlap)
        return [
            Window(*(first + position for position in window))
            for first, last in sentence.bounds
            for window in windows(last - first, self.max_length, self.overlap)
        ]

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Return the indices of the windows of each batch: windows of similar length together.

        Args:
            lengths: The number of positions of each window; not empty.
        """
        cut = batches(
            lengths, seed=0, corpus="", epoch=0, max_tokens=self.max_tokens, shuffle=False
        )
        return [indices.tolist() for indices in cut]


def bounded(sentences: Iterable[Sentence], size: int) -> Iterator[list[Sentence]]:
    """Yield lists of up to `size` items and `CHUNK_CHARACTERS`; the items are read lazily."""
    chunk: list[Sentence] = []
    characters = 0
    for sentence in sentences:
        chunk.append(sentence)
        characters += sum(map(len, sentence.example.tokens))
        if len(chunk) == size or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def word_batches(words: Sequence[str], most: int) -> Iterator[list[int]]:
    """Yield the indices of words that are embedded together: words of similar length.

    Args:
        words: The words.
        most: The most words of a batch. A batch with very long words has fewer.
    """
    batch: list[int] = []
    for index in sorted(range(len(words)), key=list(map(len, words)).__getitem__):
        # The words are padded to the length of the last one.
        if len(batch) == most or (batch and (len(batch) + 1) * len(words[index]) > _PADDED):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def first_chunk(predictions: Iterator[Prediction], size: int) -> list[Prediction]:
    """Return the first predictions of a stream: up to `size`, and `CHUNK_CHARACTERS`."""
    first, characters = [], 0
    for prediction in predictions:
        first.append(prediction)
        characters += sum(map(len, prediction.sentence.example.tokens))
        if len(first) == size or characters >= CHUNK_CHARACTERS:
            break
    return first


def chunks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Yield lists of `size` items, the last one shorter; the items are read lazily.

    Raises:
        ValueError: The size is below 1; no item would ever be yielded.
    """
    if size < 1:
        raise ValueError(f"expected a size of at least 1, got {size}")
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
