"""The words that a model has met, and their rows. Letters: U words, N width of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mtl_runtime._mtl.inference import process
from mtl_runtime._mtl.inference.cutting import word_batches
from mtl_runtime._mtl.text.vocabulary.affixes import AffixVocabulary
from mtl_runtime._mtl.text.vocabulary.base import PAD
from mtl_runtime._mtl.text.vocabulary.characters import CharacterVocabulary
from mtl_runtime._mtl.text.vocabulary.ngrams import NgramVocabulary
from mtl_runtime._mtl.text.vocabulary.words import WordVocabulary
from mtl_runtime.subwords import SubwordEncoder

MOST_BYTES = 1 << 28
"""The most bytes of all tables. Words that were not used for the longest time go first."""

MOST_WIDTH = 64
"""The most ids per word of a vocabulary with a fixed number of them."""

_VOCABULARIES: Mapping[str, Any] = {
    vocabulary.feature: vocabulary.from_json
    for vocabulary in (WordVocabulary, CharacterVocabulary, NgramVocabulary, AffixVocabulary)
} | {"subwords": SubwordEncoder}


class Program(Protocol):
    """A part of a network."""

    def run(
        self, inputs: dict[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Return the outputs by name."""


class Encoder:
    """Makes the inputs of the program of words.

    Args:
        features: The names of the inputs, without the mask.
        vocabularies: The vocabularies, each with `feature`, `width` and `data`.

    Raises:
        ValueError: A vocabulary is damaged or unknown, or a feature has none.
    """

    def __init__(self, features: Sequence[str], vocabularies: Iterable[Mapping[str, Any]]) -> None:
        vocabularies = list(vocabularies)
        for own in vocabularies:
            width = own["width"]
            if width is not None and (type(width) is not int or not 1 <= width <= MOST_WIDTH):
                raise ValueError(f"vocabulary {own['feature']!r}: unknown width {width!r}")
        made = {
            own["feature"]: (own["width"], _vocabulary(own["feature"], own["data"]).encode)
            for own in vocabularies
        }
        self._types = "types" in features
        self._encoders = {name: made[name] for name in features if name != "types"}

    def inputs(self, words: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return the inputs for U words; row 0 of tables is padding, so types count from 1."""
        inputs: dict[str, NDArray[Any]] = {}
        if self._types:
            inputs["types"] = np.arange(1, len(words) + 1)[None]
        for name, (width, encode) in self._encoders.items():
            codes = [encode(word) for word in words]
            inputs[name] = (
                np.array([[code[0] for code in codes]], dtype=np.int64)
                if width == 1
                else _padded(codes, width or 1)
            )
        inputs["mask"] = np.ones((1, len(words)), dtype=np.bool_)
        return inputs


def _vocabulary(feature: str, data: Any) -> Any:
    if feature not in _VOCABULARIES:
        raise ValueError(f"unknown vocabulary {feature!r}; was it exported by a later version?")
    return _VOCABULARIES[feature](data)


def _padded(codes: Sequence[Sequence[int]], least: int) -> NDArray[np.int64]:
    """Return rows of ids, padded on the right; each has at least `least`."""
    lengths = np.fromiter(map(len, codes), np.int64, len(codes))
    mask = np.arange(max(least, int(lengths.max()))) < lengths[:, None]
    padded = np.full(mask.shape, PAD, dtype=np.int64)
    padded[mask] = [number for code in codes for number in code]
    return padded


class WordTables:
    """The rows of words in the tables that the first layers read, kept between calls.

    Several threads may use it.

    Args:
        program: The program that computes rows.
        names: The names of its outputs.
        encoder: Makes its inputs.
        together: The most words that are computed at once.
        most_bytes: The most bytes of all rows and words. One call may need more than that.
    """

    def __init__(
        self,
        program: Program,
        names: Sequence[str],
        encoder: Encoder,
        *,
        together: int = 1024,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._program = program
        self._names = tuple(names)
        self._encoder = encoder
        self._together = together
        self._most_bytes = most_bytes
        self.clear()

    def clear(self) -> None:
        """Forget all words."""
        self._rows = _Rows()
        self._memory: dict[str, NDArray[Any]] = {}
        self._tables: dict[str, NDArray[Any]] = {}
        self._count = 1
        self._used = np.zeros(1, np.int64)
        self._call = 0

    def __len__(self) -> int:
        return self._count - 1

    def find(self, words: Sequence[str]) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
        """Return the row of each word, and the tables, `[1 + U, N]`.

        Rows of a table that was returned never change.
        """
        with process.lock():
            if self._bytes() > self._most_bytes:
                self._shrink()
            try:
                ids = np.fromiter(map(self._rows.__getitem__, words), np.int64, len(words))
                if len(self._rows) >= self._count:
                    self._append(list(islice(self._rows, self._count - 1, None)))
            except BaseException:
                # A word must never have the row of another one.
                self.clear()
                raise
            self._call += 1
            self._used[ids] = self._call
            return ids, self._tables

    def _bytes(self) -> int:
        row: int = sum(table.shape[1] * table.itemsize for table in self._memory.values())
        return row * self._count + 4 * self._rows.characters

    def _shrink(self) -> None:
        """Keep the words used last, with half as many bytes."""
        share = 0.5 * self._most_bytes / self._bytes()
        words = list(self._rows)
        last_first = np.argsort(-self._used[1 : len(words) + 1], kind="stable")
        kept = np.sort(last_first[: int(share * len(words))])
        self._rows = _Rows()
        for index in kept.tolist():
            self._rows[words[index]]
        rows = np.concatenate([[0], kept + 1])
        self._count = len(rows)
        self._used = self._used[rows]
        # Copies: other threads may read the tables as they were.
        self._memory = {name: table[rows] for name, table in self._memory.items()}
        self._tables = dict(self._memory)

    def _append(self, words: Sequence[str]) -> None:
        """Add the rows of further words; words of similar length are computed together."""
        end = self._count + len(words)
        for index in word_batches(words, self._together):
            inputs = self._encoder.inputs([words[i] for i in index])
            found = self._program.run(inputs, self._names)
            rows = self._count + np.array(index)
            for name in self._names:
                values = found[name].reshape(len(index), -1)
                self._room(name, end, values)[rows] = values
        if end > len(self._used):
            self._used = np.concatenate([self._used, np.zeros(end, np.int64)])
        self._count = end
        self._tables = {name: table[:end] for name, table in self._memory.items()}

    def _room(self, name: str, end: int, like: NDArray[Any]) -> NDArray[Any]:
        """Return the memory of a table, which doubles when it is full."""
        memory = self._memory.get(name)
        if memory is None or end > len(memory):
            grown = np.empty((max(end, 2 * self._count), like.shape[1]), like.dtype)
            grown[: self._count] = 0 if memory is None else memory[: self._count]
            memory = self._memory[name] = grown
        return memory


class _Rows(dict[str, int]):
    """Word to its row, from 1. A word that is looked up for the first time gets the next row."""

    characters = 0
    """Number of characters of all words."""

    def __missing__(self, word: str) -> int:
        row = self[word] = len(self) + 1
        self.characters += len(word)
        return row
