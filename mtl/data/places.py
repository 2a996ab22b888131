"""The places of the sentences of a corpus in its files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtl.data.readers.base import Reader


@dataclass(frozen=True)
class Places:
    """The file, the line and the document of each sentence, in the order of the corpus.

    Args:
        files: Index of the file, `[sentences]` int.
        numbers: Index of the sentence in its file, from 0, `[sentences]` int.
        lines: Line at which the sentence starts, from 1, `[sentences]` int.
        documents: Document of the sentence, `[sentences]` int. In a file without marked documents,
            each sentence is a document.
        marked: The number of marked documents.
    """

    files: np.ndarray
    numbers: np.ndarray
    lines: np.ndarray
    documents: np.ndarray
    marked: int


def read_places(reader: Reader, paths: Sequence[Path]) -> Places:
    """Return the places of the sentences that a corpus has from some files.

    Args:
        reader: Reads the files.
        paths: The files, in order.

    Raises:
        DataError: A file cannot be read.
    """
    files: list[int] = []
    numbers: list[int] = []
    lines: list[int] = []
    documents: list[int] = []
    marked = document = 0
    for file, path in enumerate(paths):
        starts = reader.document_starts(path) if reader.reads_files else []
        marked += len(starts)
        number = 0
        for record in reader.read(path):
            # Corpora skip such rows.
            if record.empty:
                continue
            files.append(file)
            numbers.append(number)
            lines.append(record.line)
            own = bisect_right(starts, record.line) if starts else number
            documents.append(document + own)
            number += 1
        document = max(documents, default=-1) + 1
    arrays = [np.asarray(own, dtype=np.int64) for own in (files, numbers, lines, documents)]
    return Places(arrays[0], arrays[1], arrays[2], arrays[3], marked)
