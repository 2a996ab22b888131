"""Pretrained word vectors from text files."""

from __future__ import annotations

from array import array
from collections.abc import Container
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl.errors import DataError
from mtl.files import open_text


def read_vectors(
    path: str | Path, wanted: Container[str] | None = None
) -> tuple[list[str], NDArray[np.float32]]:
    """Read vectors in the text format of GloVe or word2vec: a line a word, values after blanks.

    The first line of word2vec's format says how many words and values follow; GloVe has none. A
    word may hold blanks, as a few of GloVe 840B do. Of a word that occurs twice the first vector
    counts.

    Args:
        path: The file, plain or `.gz`.
        wanted: Only the vectors of these words are kept, and only they are looked at closely;
            None keeps all.

    Returns:
        The words in the order of the file, and their vectors `[words, D]`, float32.

    Raises:
        DataError: The file has no vectors, or fewer than its first line says, or a line has
            another number of values, or one that is no number.
    """
    words: dict[str, None] = {}
    values = array("f")
    size = promised = found = 0
    with open_text(path) as file:
        for line, text in enumerate(file, 1):
            fields = text.rstrip().split(" ")
            if line == 1 and len(fields) == 2 and all(map(str.isdecimal, fields)):
                promised, size = map(int, fields)
            elif fields != [""]:
                found += 1
                size = size or len(fields) - 1
                word = _word(fields, size, path, line)
                if word not in words and (wanted is None or word in wanted):
                    words[word] = None
                    values.extend(_numbers(fields[-size:], path, line))
    if found < max(promised, 1):
        message = f"expected {promised or 'some'} vectors, found {found}; fetch the file again"
        raise DataError(message, path)
    return list(words), np.array(values, dtype=np.float32).reshape(len(words), size)


def _word(fields: list[str], size: int, path: str | Path, line: int) -> str:
    """Return what stands before the values, after a check of how many values there are."""
    word = fields[:-size] if size else []
    # A word may hold blanks, but one followed by numbers is a line with too many values.
    extra = word[1:] and all(map(_is_number, word[1:]))
    if not word or extra:
        raise DataError(
            f"expected a word and {size or 'its'} values with one blank between them, "
            f"got {len(fields) - 1} values after {fields[0]!r}",
            path,
            line,
        )
    return " ".join(word)


def _numbers(fields: list[str], path: str | Path, line: int) -> list[float]:
    for field in fields:
        if not _is_number(field):
            raise DataError(f"expected a finite number, got {field!r}", path, line)
    return [float(field) for field in fields]


def _is_number(field: str) -> bool:
    try:
        return isfinite(float(field))
    except ValueError:
        return False
