"""Tables with one sentence and its labels per row."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.blocks import by_name, check_columns, excerpt, is_header
from mtl.data.readers.parts import LINE, FilePart
from mtl.errors import DataError, OptionError, did_you_mean, shorten
from mtl.files import open_part, open_text
from mtl.text.tokenizer import WordCut, words_of


class Csv(Reader):
    """Comma-separated values (RFC 4180): one column of text; the others are sentence labels.

    An empty cell means that the label is missing. For a task with sets of labels, it means the
    empty set.

    Args:
        text: Column of the text.
        pair: Column of the second sentence, for sentence pairs.
        columns: Columns of a file without a header row: a list of names from the left, or a
            mapping of names to indices, counted from 0, or from the right with -1 as the last.
            A first row of these names is an error.
        tokenize: Unit of the tokens: true for words by rule, false for words at blanks, or the
            characters of the words, for classifiers of whole texts.
        separator: Character between columns.
        quotes: Whether cells may be in double quotes.
    """

    version = 2

    def __init__(
        self,
        *,
        text: str = "text",
        pair: str | None = None,
        columns: dict[str, int] | list[str] | None = None,
        tokenize: WordCut = True,
        separator: str = ",",
        quotes: bool = True,
    ) -> None:
        if len(separator) != 1:
            raise OptionError("separator", f"expected one character, got {separator!r}")
        self.text = text
        self.pair = pair
        self.columns = by_name(columns) if columns else None
        self.tokenize = tokenize
        self.separator = separator
        self.quotes = quotes

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences."""
        return self.read_part(path, None)

    def ends(self) -> re.Pattern[bytes] | None:
        """Return the ends of lines; None if cells may be quoted, and contain such ends."""
        return None if self.quotes else LINE

    def read_part(self, path: Path, part: FilePart | None) -> Iterator[Record]:
        """Yield the sentences of a part of a file."""
        # The default limit of the module, 128 KB per cell, is less than a long document. On some
        # systems it must fit into 32 bits.
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        # A quoted cell may contain line ends of any kind.
        whole = partial(open_text, path, lone_returns=self.quotes)
        if not part or not part.lines:
            with whole() if part is None else open_part(path, 0, part.end, 0) as file:
                yield from self._records(path, self._rows(path, file), None)
            return
        with whole() as file:
            first = next(self._rows(path, file), None)
        with open_part(path, part.start, part.end, part.lines) as file:
            yield from self._records(path, self._rows(path, file, part.lines), first)

    def _rows(
        self, path: Path, file: Iterator[str], before: int = 0
    ) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows that are not empty, each with the line where it starts.

        Args:
            path: The file, for messages.
            file: Its lines, or some of them.
            before: The number of lines before them.
        """
        rows = csv.reader(
            file,
            delimiter=self.separator,
            quoting=csv.QUOTE_MINIMAL if self.quotes else csv.QUOTE_NONE,
            strict=True,  # without it, broken quotes silently merge rows
        )
        while True:
            # A quoted cell may span lines, so the line where a row ends says less.
            line = before + rows.line_num + 1
            try:
                row = next(rows, None)
            except csv.Error as error:
                reason = str(error)
                if "end of data" in reason:
                    reason = "a quote is opened and not closed"
                elif "new-line" in reason:
                    reason = "a carriage return (\\r) inside the line, outside quotes"
                message = f"not a readable table: {reason}; see `quotes:`"
                raise DataError(message, path, line) from error
            if row is None:
                return
            if row:
                yield line, row

    def _records(
        self,
        path: Path,
        rows: Iterator[tuple[int, list[str]]],
        first: tuple[int, list[str]] | None,
    ) -> Iterator[Record]:
        """Yield the sentences of some rows; `first` is the first row if it is not among them."""
        columns: dict[str, int] = {}
        width = 0
        if first:
            columns, width = self._columns(path, first[1], first[0]), len(first[1])
        for line, row in rows:
            if not width:
                # The first row, header or not, sets the number of columns.
                width = len(row)
                columns = self._columns(path, row, line)
                if self.columns is None:
                    continue
            if len(row) != width:
                message = f"expected {width} columns, found {len(row)}: "
                message += f"{excerpt(row, self.separator)}; correct the line"
                if self.quotes and len(row) > width:
                    message += f", with quotes around a cell that has a {self.separator!r}"
                raise DataError(f"{message}, or set `separator:` and `quotes:`", path, line)
            cells = {name: row[index] for name, index in columns.items()}
            words = words_of(cells.pop(self.text), self.tokenize)
            pair = words_of(cells.pop(self.pair), self.tokenize) if self.pair else None
            yield Record(words, cells, {}, line, pair)

    def _columns(self, path: Path, row: list[str], line: int) -> dict[str, int]:
        """Return the column indices by name, from the option `columns` or the header row.

        Raises:
            DataError: A column is missing, such as the column of the text; or two have one name.
        """
        columns = self.columns or self._header(path, row, line)
        for option, column in (("text", self.text), ("pair", self.pair)):
            if column is not None and column not in columns:
                message = f"no column {column!r}{did_you_mean(column, columns)}"
                hint = f"see `{option}:`, or `columns:` if the file has no header"
                raise DataError(f"{message}; {hint}", path, line)
        check_columns(columns, row, path, line)
        labels = {name: row[k] for name, k in columns.items() if name not in (self.text, self.pair)}
        if self.columns and is_header(labels or {self.text: row[columns[self.text]]}):
            message = f"the first row names the columns: {excerpt(row)}"
            advice = "leave out `columns:` to read the names, or remove the row from the file"
            raise DataError(f"{message}; {advice}", path, line)
        return columns

    def _header(self, path: Path, row: list[str], line: int) -> dict[str, int]:
        """Return the column indices by the names in the first row."""
        columns: dict[str, int] = {}
        for index, cell in enumerate(row):
            name = cell.strip()
            # Tables often have one column of row numbers without a name.
            if name and name in columns:
                message = f"two columns are called {shorten(name, 80)!r}; rename one of them"
                raise DataError(message, path, line)
            columns[name] = index
        return columns


class Tsv(Csv):
    """Tab-separated values, by default without quotes; otherwise the same as `csv`.

    Args:
        text: Column of the text.
        pair: Column of the second sentence, for sentence pairs.
        columns: Columns of a file without a header row: a list of names from the left, or a
            mapping of names to indices, counted from 0, or from the right with -1 as the last.
            A first row of these names is an error.
        tokenize: Unit of the tokens: true for words by rule, false for words at blanks, or the
            characters of the words, for classifiers of whole texts.
        separator: Character between columns.
        quotes: Whether cells may be in double quotes.
    """

    version = 2

    def __init__(
        self,
        *,
        text: str = "text",
        pair: str | None = None,
        columns: dict[str, int] | list[str] | None = None,
        tokenize: WordCut = True,
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
