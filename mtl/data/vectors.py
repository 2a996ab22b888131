"""Pretrained word vectors from text files."""

from __future__ import annotations

import re
from array import array
from collections.abc import Container
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl.errors import DataError, shorten
from mtl.files import open_text

_HEADER = re.compile(r"([0-9]{1,18}) ([1-9][0-9]{0,17})")
_LARGEST = float(np.finfo(np.float32).max)


def read_vectors(
    path: str | Path, wanted: Container[str] | None = None
) -> tuple[list[str], NDArray[np.float32]]:
    """Read vectors in the text format of GloVe or word2vec: per line a word and its values.

    In the format of word2vec, the first line contains the numbers of words and values; GloVe has
    no such line. Blanks or tabs separate the values. Words may contain blanks, as a few words of
    GloVe 840B do. If a word occurs twice, its first vector is used.

    Args:
        path: The file, plain or `.gz`.
        wanted: The words to read; the values of other words are not checked. None reads all.

    Returns:
        The words in the order of the file, and their vectors `[words, D]`, float32.

    Raises:
        DataError: The file has no vectors, or another number than its first line says. Or a line
            has another number of values, or a value is not a number that float32 holds.
    """
    words: dict[str, None] = {}
    # A flat array of floats: lists of Python floats need eight times the memory.
    values = array("f")
    size = count = 0
    promised = None
    with open_text(path) as file:
        for line, text in enumerate(file, 1):
            fields = text.rstrip().replace("\t", " ").split(" ")
            if line == 1 and (header := _HEADER.fullmatch(" ".join(fields))):
                promised, size = map(int, header.groups())
            elif fields != [""]:
                count += 1
                size = size or len(fields) - 1
                word = _word(fields, size, path, line)
                if word not in words and (wanted is None or word in wanted):
                    words[word] = None
                    values.extend(_numbers(fields[-size:], path, line))
    if count < 1 or promised not in (None, count):
        expected = "some vectors" if promised is None else f"{promised} vectors, as in line 1"
        raise DataError(f"expected {expected}, found {count}; download the file again", path)
    return list(words), np.array(values, dtype=np.float32).reshape(len(words), size)


def _word(fields: list[str], size: int, path: str | Path, line: int) -> str:
    """Return the word of a line, after a check of the number of values."""
    word = fields[:-size] if size else []
    # A word may contain blanks, but a word followed by numbers is a line with too many values.
    extra = word[1:] and all(map(_is_number, word[1:]))
    if not word or extra:
        raise DataError(
            f"expected a word and {size or 'its'} values with one blank between them, "
            f"got {len(fields) - 1} values after {shorten(fields[0], 80)!r}",
            path,
            line,
        )
    return " ".join(word)


def _numbers(fields: list[str], path: str | Path, line: int) -> list[float]:
    for field in fields:
        if not _is_number(field):
            message = f"expected a finite number, got {shorten(field, 80)!r}"
            raise DataError(message, path, line)
        if abs(float(field)) > _LARGEST:
            raise DataError(f"expected a number that float32 holds, got {field}", path, line)
    return [float(field) for field in fields]


def _is_number(field: str) -> bool:
    try:
        # Python also reads 1_000 and digits of other scripts.
        return isfinite(float(field)) and field.isascii() and "_" not in field
    except ValueError:
        return False
