"""Tables with one sentence and its labels per row."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.blocks import excerpt
from mtl.errors import DataError, OptionError, did_you_mean
from mtl.files import open_text
from mtl.text.tokenizer import words_of


class Csv(Reader):
    """Comma-separated values (RFC 4180): one column of text; the others are sentence labels.

    An empty cell means that the label is missing. For a task with sets of labels, it means the
    empty set.

    Args:
        text: Column of the text.
        pair: Column of the second sentence, for sentence pairs.
        columns: Columns of a file without a header row: a list of names from the left, or a
            mapping of names to indices, counted from 0, or from the right with -1 as the last.
        tokenize: Whether the text is split into words by rule; if not, it is split at blanks.
        separator: Character between columns.
        quotes: Whether cells may be in double quotes.
    """

    version = 1

    def __init__(
        self,
        *,
        text: str = "text",
        pair: str | None = None,
        columns: dict[str, int] | list[str] | None = None,
        tokenize: bool = True,
        separator: str = ",",
        quotes: bool = True,
    ) -> None:
        if isinstance(columns, list):
            columns = {name: index for index, name in enumerate(columns)}
        if len(separator) != 1:
            raise OptionError("separator", f"expected one character, got {separator!r}")
        self.text = text
        self.pair = pair
        self.columns = columns
        self.tokenize = tokenize
        self.separator = separator
        self.quotes = quotes

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences."""
        # The default limit of the module, 128 KB per cell, is less than a long document. On some
        # systems it must fit into 32 bits.
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        with open_text(path) as file:
            rows = csv.reader(
                file,
                delimiter=self.separator,
                quoting=csv.QUOTE_MINIMAL if self.quotes else csv.QUOTE_NONE,
                strict=True,  # without it, broken quotes silently merge rows
            )
            try:
                yield from self._records(path, rows)
            except csv.Error as error:
                message = f"not a readable table: {error}; see `quotes:`"
                raise DataError(message, path, rows.line_num) from error

    def _records(self, path: Path, rows: Any) -> Iterator[Record]:
        columns: dict[str, int] = {}
        width = 0
        line = 1
        for row in rows:
            # A quoted cell may span lines: report the line where the row starts.
            start, line = line, rows.line_num + 1
            if not row:
                continue
            if not width:
                # The first row, header or not, sets the number of columns.
                width = len(row)
                columns = self._columns(path, row, start)
                if self.columns is None:
                    continue
            if len(row) != width:
                message = f"expected {width} columns, found {len(row)}: {excerpt(row)}"
                raise DataError(f"{message}; see `separator:` and `quotes:`", path, start)
            cells = {name: row[index] for name, index in columns.items()}
            words = words_of(cells.pop(self.text), self.tokenize)
            pair = words_of(cells.pop(self.pair), self.tokenize) if self.pair else None
            yield Record(words, cells, {}, start, pair)

    def _columns(self, path: Path, row: list[str], line: int) -> dict[str, int]:
        """Return the column indices by name, from the option `columns` or the header row.

        Raises:
            DataError: A column is missing, such as the column of the text.
        """
        columns = self.columns or {name.strip(): index for index, name in enumerate(row)}
        for option, column in (("text", self.text), ("pair", self.pair)):
            if column is not None and column not in columns:
                message = f"no column {column!r}{did_you_mean(column, columns)}"
                hint = f"see `{option}:`, or `columns:` if the file has no header"
                raise DataError(f"{message}; {hint}", path, line)
        for name, index in columns.items():
            if not -len(row) <= index < len(row):
                message = f"no column {index} for {name!r}: this line has {len(row)}"
                raise DataError(f"{message} (from 0): {excerpt(row)}; see `columns:`", path, line)
        return columns


class Tsv(Csv):
    """Tab-separated values, by default without quotes; otherwise the same as `csv`.

    Args:
        text: Column of the text.
        pair: Column of the second sentence, for sentence pairs.
        columns: Columns of a file without a header row: a list of names from the left, or a
            mapping of names to indices, counted from 0, or from the right with -1 as the last.
        tokenize: Whether the text is split into words by rule; if not, it is split at blanks.
        separator: Character between columns.
        quotes: Whether cells may be in double quotes.
    """

    version = 1

    def __init__(
        self,
        *,
        text: str = "text",
        pair: str | None = None,
        columns: dict[str, int] | list[str] | None = None,
        tokenize: bool = True,
        separator: str = "\t",
        quotes: bool = False,
    ) -> None:
        super().__init__(
            text=text,
            pair=pair,
            columns=columns,
            tokenize=tokenize,
            separator=separator,
            quotes=quotes,
        )
