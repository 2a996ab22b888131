"""CoNLL-U, the format of Universal Dependencies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.blocks import blocks, document_starts, excerpt
from mtl.data.readers.parts import BLANK_LINE, FilePart, open_lines
from mtl.errors import DataError, shorten

COLUMNS = {"lemma": 2, "upos": 3, "xpos": 4, "feats": 5, "deprel": 7, "misc": 9}
"""Column of labels to its index."""
_READ = {"form": 1, **COLUMNS}

_NO_WORD = re.compile(r"[0-9]+[-.][0-9]+")
"""The ids of ranges and empty nodes, such as 8-9 and 8.1."""


class Conllu(Reader):
    """CoNLL-U (de Marneffe et al. 2021): ten columns, tab-separated.

    The tokens are the words with the ids 1, 2, 3, … in this order. Ranges (`8-9`, the written form
    of two words) and empty nodes (`8.1`) are skipped. Columns: `lemma`, `upos`, `xpos`, `feats`,
    `deprel`, `misc`.
    Metadata: every comment of the form `# key = value`, such as `sent_id`.
    """

    reads_sentences = True
    version = 2

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences."""
        return self.read_part(path, None)

    def ends(self) -> re.Pattern[bytes]:
        """Return blank lines."""
        return BLANK_LINE

    def read_part(self, path: Path, part: FilePart | None) -> Iterator[Record]:
        """Yield the sentences of a part of a file."""
        with open_lines(path, part) as lines:
            yield from self._records(path, lines)

    def document_starts(self, path: Path) -> list[int]:
        """Return the lines with `-DOCSTART-` or `# newdoc`."""
        return document_starts(path)

    def parse(self, text: Iterable[str], path: str | Path) -> Iterator[Record]:
        """Yield the sentences of the lines of `path`, which error messages name."""
        return self._records(path, enumerate(text, 1))

    def _records(self, path: str | Path, lines: Iterable[tuple[int, str]]) -> Iterator[Record]:
        for block in blocks(lines, _split, lambda line, _: line.startswith("#")):
            rows: list[list[str]] = []
            for number, row in block.rows:
                # Ranges and empty nodes have no labels of their own.
                if _is_word(path, number, row, len(rows) + 1):
                    rows.append(row)
            columns = {name: [row[k] for row in rows] for name, k in COLUMNS.items()}
            tokens = [row[1] for row in rows]
            yield Record(tokens, columns, block.metadata, block.rows[0][0])


def _split(text: str) -> list[str]:
    return text.split("\t")


def _is_word(path: str | Path, line: int, row: list[str], number: int) -> bool:
    """Return whether a row is the word with an id; the other rows are not words.

    Raises:
        DataError: The row is malformed, or the word has another id.
    """
    if len(row) != 10:
        message = f"expected 10 tab-separated columns, found {len(row)}: {excerpt(row)}"
        raise DataError(f"{message}; for other column files use `type: conll`", path, line)
    if "" in row and (empty := [name for name, k in _READ.items() if not row[k]]):
        message = f"column {empty[0]!r} is empty: {excerpt(row)}"
        raise DataError(f"{message}; write _ for a missing value", path, line)
    if row[0] == str(number):
        return True
    if row[0].isdecimal():
        message = f"expected word number {number}, found {shorten(row[0], 60)}"
        raise DataError(f"{message}; is a blank line missing?", path, line)
    if not _NO_WORD.fullmatch(row[0]):
        message = f"expected a word id such as 7, 7-8 or 7.1, found {shorten(row[0], 60)!r}"
        raise DataError(f"{message} in column 1", path, line)
    return False
