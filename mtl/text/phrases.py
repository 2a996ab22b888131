"""Lists of phrases (gazetteers, lexica): their files, and where they occur in a sentence."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from mtl.errors import DataError
from mtl.files import open_text

WordT = TypeVar("WordT", bound=Hashable)
EntryT = TypeVar("EntryT")
Phrase = tuple[str, ...]
_LARGEST = 1e30
"""The largest number of a phrase; sums of larger ones may exceed float32."""


class Phrases(Generic[WordT, EntryT]):
    """Finds the phrases of a list in sentences.

    Args:
        values: Phrase to its value.
    """

    def __init__(self, values: Mapping[tuple[WordT, ...], EntryT]) -> None:
        self._values = values
        lengths: dict[WordT, set[int]] = {}
        for phrase in values:
            lengths.setdefault(phrase[0], set()).add(len(phrase))
        self._lengths = {word: sorted(own, reverse=True) for word, own in lengths.items()}

    def find(self, words: Sequence[WordT]) -> Iterator[tuple[int, int, EntryT]]:
        """Yield first word, word after the last one, and value of each phrase, from the left.

        The longest phrase that begins at a word is taken, and the next one begins behind it.
        """
        start = 0
        while start < len(words):
            end = start + 1
            for length in self._lengths.get(words[start], ()):
                phrase = tuple(words[start : start + length])
                if phrase in self._values:
                    end = start + len(phrase)  # a slice ends with the sentence
                    yield start, end, self._values[phrase]
                    break
            start = end


def read_phrases(
    path: str | Path, *, lowercase: bool
) -> tuple[dict[str, list[Phrase]], dict[Phrase, float]]:
    """Read a file with one phrase per line; a tab may separate a label or a number from it.

    Words of a phrase are separated by blanks.

    Args:
        path: The file, plain text or `.gz`.
        lowercase: Whether to change all words to lower case.

    Returns:
        Label to phrases, with the label "" for phrases without one; and phrase to number.

    Raises:
        DataError: A line has no phrase, more than two columns, or a number that is too large; the
            file has no phrases, or both numbers and other lines, or two numbers for a phrase.
    """
    labelled: dict[str, list[Phrase]] = {}
    numbers: dict[Phrase, float] = {}
    with open_text(path) as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            cells = text.rstrip("\r\n").split("\t")
            phrase = tuple((cells[0].lower() if lowercase else cells[0]).split())
            if not phrase or len(cells) > 2:
                raise DataError(
                    "expected a phrase, or a phrase, a tab and a label or a number", path, line
                )
            value = cells[1].strip() if len(cells) > 1 else ""
            number = _number(value)
            if number is not None and abs(number) > _LARGEST:
                message = f"expected a number up to {_LARGEST:g}, found {value!r}"
                raise DataError(message, path, line)
            if number is None:
                labelled.setdefault(value, []).append(phrase)
            elif numbers.setdefault(phrase, number) != number:
                raise DataError(f"{' '.join(phrase)!r} has two numbers; keep one", path, line)
            if labelled and numbers:
                raise DataError("expected numbers on all lines or on none", path, line)
    if not labelled and not numbers:
        raise DataError("has no phrases; expected one per line", path)
    return labelled, numbers


def _number(text: str) -> float | None:
    """Return a finite number; None if the text is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
