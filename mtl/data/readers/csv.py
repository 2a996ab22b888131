"""Tables: a text and its labels a row."""

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
    """Comma-separated values (RFC 4180): one column of text, the others labels of the sentence.

    An empty cell means no label; where a task has sets of labels, the empty one.

    Args:
        text: The column that holds the text.
        pair: The column that holds the sentence with which it is compared, where there are pairs.
        columns: For a file without a header row: the names of the columns from the left, or column
            name to number, from 0, or from the right with -1 as the last.
        tokenize: Whether the text is cut into words by rule; if not, at blanks.
        separator: What stands between columns.
        quotes: Whether a cell may stand in double quotes.
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
            columns = {name: number for number, name in enumerate(columns)}
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
        # The module's own limit, 128 KB a cell, is less than a long document.
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        with open_text(path) as file:
            rows = csv.reader(
                file,
                delimiter=self.separator,
                quoting=csv.QUOTE_MINIMAL if self.quotes else csv.QUOTE_NONE,
                strict=True,
            )
            try:
                yield from self._records(path, rows)
            except csv.Error as error:
                found = f"not a table that can be read: {error}"
                raise DataError(f"{found}; see `quotes:`", path, rows.line_num) from error

    def _records(self, path: Path, rows: Any) -> Iterator[Record]:
        columns: dict[str, int] = {}
        width = 0
        line = 1
        for row in rows:
            start, line = line, rows.line_num + 1
            if not row:
                continue
            if not width:
                width = len(row)
                columns = self._columns(path, row, start)
                if self.columns is None:
                    continue
            if len(row) != width:
                found = f"expected {width} columns, found {len(row)}: {excerpt(row)}"
                raise DataError(f"{found}; see `separator:` and `quotes:`", path, start)
            cells = {name: row[number] for name, number in columns.items()}
            words = words_of(cells.pop(self.text), self.tokenize)
            pair = words_of(cells.pop(self.pair), self.tokenize) if self.pair else None
            yield Record(words, cells, {}, start, pair)

    def _columns(self, path: Path, row: list[str], line: int) -> dict[str, int]:
        """Return the column numbers by name, as given or as the header row has them.

        Raises:
            DataError: There is no such column, or none of text.
        """
        columns = self.columns or {name.strip(): number for number, name in enumerate(row)}
        for option, column in (("text", self.text), ("pair", self.pair)):
            if column is not None and column not in columns:
                found = f"no column {column!r}{did_you_mean(column, columns)}"
                hint = f"see `{option}:`, or `columns:` if there is no header"
                raise DataError(f"{found}; {hint}", path, line)
        for name, number in columns.items():
            if not -len(row) <= number < len(row):
                found = f"there is no column {number} for {name!r}: this line has {len(row)}"
                raise DataError(f"{found} (from 0): {excerpt(row)}; see `columns:`", path, line)
        return columns


class Tsv(Csv):
    """Tab-separated values, without quotes; otherwise as `csv`.

    Args:
        text: The column that holds the text.
        pair: The column that holds the sentence with which it is compared, where there are pairs.
        columns: For a file without a header row: the names of the columns from the left, or column
            name to number, from 0, or from the right with -1 as the last.
        tokenize: Whether the text is cut into words by rule; if not, at blanks.
        separator: What stands between columns.
        quotes: Whether a cell may stand in double quotes.
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
