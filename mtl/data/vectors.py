"""Pretrained word vectors in files of several formats."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from math import isfinite
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mtl.errors import DataError, shorten
from mtl.files import atomic_write, open_bytes, open_text

Wanted = Callable[[str], bool]
"""Whether the vector of a word is read."""

_HEADER = re.compile(r"([0-9]{1,18}) ([1-9][0-9]{0,17})")
_LARGEST = float(np.finfo(np.float32).max)
_LONGEST = 1 << 12
"""The most bytes of a word or of the header of a binary file."""
_FASTTEXT_MODEL = struct.pack("<i", 793712314)
"""The first bytes of a model of fastText, which has vectors of n-grams, not of words."""
_AGAIN = "download the file again"


def read_vectors(
    path: str | Path, wanted: Wanted | None = None
) -> tuple[list[str], NDArray[np.float32]]:
    """Read word vectors.

    The file name determines the format:

    - `.npy`: a NumPy matrix, one row per word. The text file of the same name with `.txt` in
      place of `.npy` contains the words, one per line.
    - `.safetensors`: as `write_vectors` writes it.
    - `.bin`, `.bin.gz`: the binary format of word2vec: a line with the numbers of words and values;
      then for each word its UTF-8 bytes, a blank, and its values as float32, little-endian.
    - other names, with or without `.gz`: the text format of GloVe, word2vec and fastText, per line
      a word and its values, with blanks or tabs between them. In the first line, word2vec and
      fastText have the numbers of words and values; GloVe has no such line. Words may contain
      blanks, as a few words of GloVe 840B do.

    If a word occurs twice, its first vector is used. In a binary file, bytes of a word that are not
    UTF-8 become U+FFFD.

    Args:
        path: The file.
        wanted: Whether to read a word; the values of other words are not checked. None reads all.

    Returns:
        The words in the order of the file, and their vectors `[words, D]`, float32.

    Raises:
        DataError: The file has no vectors or is damaged; the number of vectors differs from the
            number of words or from the first line; a line has another number of values; or a value
            is not a finite number in the range of float32.
    """
    path = Path(path)
    if path.suffix == ".npy":
        return _read_numpy(path, wanted)
    if path.suffix == ".safetensors":
        return _read_safetensors(path, wanted)
    if path.suffix == ".bin" or path.name.endswith(".bin.gz"):
        return _read_binary(path, wanted)
    return _read_text(path, wanted)


def write_vectors(path: str | Path, words: Sequence[str], vectors: NDArray[Any]) -> None:
    r"""Write word vectors as a safetensors file, which `embedding.words.vectors` reads.

    The file has two tensors: `vectors [N, D]`, float32, and `words [bytes]`, uint8: the words in
    UTF-8 with one newline between them. Equal vectors make equal files.

    Args:
        path: The file, whose name ends in `.safetensors`.
        words: The words, without duplicates. If several words differ only in case, a run that
            lower-cases words uses the first one.
        vectors: `[N, D]`, one row per word.

    Raises:
        DataError: The numbers of words and vectors differ, a word occurs twice, is empty or
            contains a newline, or a value is not a finite number in the range of float32.
        MtlError: The file cannot be written.
    """
    from safetensors.numpy import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise DataError("expected a name that ends in .safetensors", path)
    if vectors.ndim != 2 or len(vectors) != len(words) or not vectors.size:
        raise DataError(f"expected {len(words):,} vectors, got shape {list(vectors.shape)}", path)
    if "" in words or any("\n" in word for word in words) or len(set(words)) < len(words):
        raise DataError("expected different words, none empty or with a newline", path)
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    _check_finite(matrix, words, path)
    joined: NDArray[Any] = np.frombuffer("\n".join(words).encode(), dtype=np.uint8)
    with atomic_write(path, "wb") as file:
        file.write(save({"vectors": matrix, "words": joined}))


# ---- text


def _read_text(path: Path, wanted: Wanted | None) -> tuple[list[str], NDArray[np.float32]]:
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
                if word not in words and (wanted is None or wanted(word)):
                    words[word] = None
                    values.extend(_numbers(fields[-size:], path, line))
    if count < 1 or promised not in (None, count):
        expected = "some vectors" if promised is None else f"{promised} vectors, as in line 1"
        raise DataError(f"expected {expected}, found {count}; {_AGAIN}", path)
    return list(words), np.frombuffer(values, dtype=np.float32).reshape(len(words), size)


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


def _numbers(fields: list[str], path: str | Path, line: int) -> array[float]:
    # All values of a line at once, which is several times faster; only a fault needs single ones.
    joined = "".join(fields)
    if joined.isascii() and "_" not in joined:
        with suppress(ValueError, OverflowError):
            numbers = array("f", map(float, fields))
            if np.isfinite(np.frombuffer(numbers, np.float32)).all():
                return numbers
    for field in fields:
        if not _is_number(field):
            message = f"expected a finite number, got {shorten(field, 80)!r}"
            raise DataError(message, path, line)
        if abs(float(field)) > _LARGEST:
            raise DataError(f"expected a number that float32 holds, got {field}", path, line)
    return array("f", map(float, fields))


def _is_number(field: str) -> bool:
    try:
        # Python also reads 1_000 and digits of other scripts.
        return isfinite(float(field)) and field.isascii() and "_" not in field
    except ValueError:
        return False


# ---- word2vec binary


def _read_binary(path: Path, wanted: Wanted | None) -> tuple[list[str], NDArray[np.float32]]:
    words: dict[str, None] = {}
    values = bytearray()
    with ExitStack() as stack:
        file: Any = stack.enter_context(open_bytes(path))
        if path.suffix == ".gz":
            file = stack.enter_context(gzip.GzipFile(fileobj=file))
        try:
            count, size = _binary_header(file, path)
            for number in range(1, count + 1):
                word, row = _binary_word(file, path, number, count), file.read(4 * size)
                if len(row) < 4 * size:
                    raise DataError(f"ends in vector {number:,} of {count:,}; {_AGAIN}", path)
                if word not in words and (wanted is None or wanted(word)):
                    words[word] = None
                    values += row
            rest = file.read(_LONGEST).strip(b"\n")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"the gzip data is truncated or damaged; {_AGAIN}", path) from error
    if rest:
        raise DataError(f"has data after the {count:,} vectors of its header; {_AGAIN}", path)
    matrix = np.frombuffer(values, dtype="<f4").reshape(len(words), size).astype(np.float32)
    _check_finite(matrix, list(words), path)
    return list(words), matrix


def _binary_header(file: IO[bytes], path: Path) -> tuple[int, int]:
    """Return the number of vectors and their size."""
    start = file.readline(_LONGEST)
    if start.startswith(_FASTTEXT_MODEL):
        message = "a model of fastText, which has no list of vectors; use its .vec file"
        raise DataError(message, path)
    header = _HEADER.fullmatch(start.decode("latin-1").strip())
    if not header or not int(header[1]):
        message = "expected the binary format of word2vec, which starts with two numbers"
        raise DataError(f"{message}; text files need another suffix", path)
    return int(header[1]), int(header[2])


def _binary_word(file: IO[bytes], path: Path, number: int, count: int) -> str:
    word = bytearray()
    while (byte := file.read(1)) != b" ":
        if not byte or len(word) > _LONGEST:
            raise DataError(f"has no word for vector {number:,} of {count:,}; {_AGAIN}", path)
        word += byte
    return word.lstrip(b"\n").decode(errors="replace")


# ---- numpy and safetensors


def _read_numpy(path: Path, wanted: Wanted | None) -> tuple[list[str], NDArray[np.float32]]:
    with open_bytes(path):  # for its errors
        pass
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"not a complete file of numpy: {reason}; {_AGAIN}", path) from error
    listed = path.with_suffix(".txt")
    try:
        with open_text(listed) as file:
            words = [line.removesuffix("\n") for line in file]
    except DataError as error:
        message = f"{error.message}; it should have the words of {path.name}, one per line"
        raise DataError(message, listed, error.line) from error
    return _chosen(words, matrix, wanted, path, f"words in {listed.name}")


def _read_safetensors(path: Path, wanted: Wanted | None) -> tuple[list[str], NDArray[np.float32]]:
    from safetensors import SafetensorError, safe_open

    with open_bytes(path):  # for its errors
        pass
    try:
        with safe_open(path, framework="np") as file:
            names = set(file.keys())
            if not {"vectors", "words"} <= names:
                message = f"expected the tensors 'vectors' and 'words', got {sorted(names)[:5]}"
                raise DataError(f"{message}; mtl vectors writes such files", path)
            matrix, joined = file.get_tensor("vectors"), file.get_tensor("words")
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        message = f"not a complete safetensors file of numbers ({error}); {_AGAIN}"
        raise DataError(message, path) from error
    try:
        if joined.dtype != np.uint8 or joined.ndim != 1:
            raise ValueError(f"type {joined.dtype}, shape {list(joined.shape)}")
        words = joined.tobytes().decode().split("\n")
    except ValueError as error:
        message = f"tensor 'words': expected words in UTF-8, one per line, as uint8: {error}"
        raise DataError(message, path) from error
    return _chosen(words, matrix, wanted, path, "words")


def _chosen(
    words: Sequence[str], matrix: NDArray[Any], wanted: Wanted | None, path: Path, kind: str
) -> tuple[list[str], NDArray[np.float32]]:
    """Return the first of equal words, if it is wanted, and the vectors."""
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or not matrix.size:
        found = f"type {matrix.dtype}, shape {list(matrix.shape)}"
        raise DataError(f"expected a matrix of floating-point numbers, got {found}", path)
    if len(matrix) != len(words):
        message = f"has {len(matrix):,} vectors, but there are {len(words):,} {kind}"
        raise DataError(f"{message}; they belong to different files", path)
    rows: dict[str, int] = {}
    for row, word in enumerate(words):
        if word not in rows and (wanted is None or wanted(word)):
            rows[word] = row
    whole = len(rows) == len(words)
    with np.errstate(over="ignore"):
        chosen = (matrix if whole else matrix[[*rows.values()]]).astype(np.float32)
    _check_finite(chosen, [*rows], path)
    return [*rows], chosen


def _check_finite(matrix: NDArray[np.float32], words: Sequence[str], path: Path) -> None:
    """Raise DataError for a value that is not finite; the message names its word."""
    for row in _faulty_rows(matrix):
        message = f"the vector of {shorten(words[row], 80)!r} has a value that float32 cannot hold"
        raise DataError(f"{message} as a finite number; {_AGAIN}", path)


def _faulty_rows(matrix: NDArray[np.float32]) -> Iterator[int]:
    for start in range(0, len(matrix), 1 << 15):
        finite = np.isfinite(matrix[start : start + (1 << 15)]).all(axis=1)
        if not finite.all():
            yield start + int(finite.argmin())
