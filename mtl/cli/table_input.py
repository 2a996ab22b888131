"""Tables as input of `mtl predict`: CSV and TSV, read as the run reads its own."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from mtl.data.readers.blocks import excerpt
from mtl.data.readers.csv import Csv, Tsv
from mtl.errors import DataError, did_you_mean
from mtl.inference.inputs import Sentence


class Row(dict[str, str]):
    """A row of a table: column name to cell, without the columns of the text.

    Args:
        names: The names of all columns.
        cells: All cells, in order.
        texts: The indices of the columns with text.
    """

    def __init__(self, names: Sequence[str], cells: Sequence[str], texts: Sequence[int]) -> None:
        super().__init__(
            (name, cell)
            for index, (name, cell) in enumerate(zip(names, cells, strict=True))
            if index not in texts
        )
        self.cells = cells


@dataclass
class Table:
    """A table whose rows are read one by one.

    Args:
        reader: The reader whose settings it has.
        names: The names of its columns.
        header: The cells of its header row; None: it has none.
        rows: Its rows.
    """

    reader: Csv
    names: Sequence[str]
    header: Sequence[str] | None
    rows: Iterator[Sentence]


def open_table(lines: Iterable[str], name: str, form: str, readers: Sequence[Csv]) -> Table:
    """Read the header of a table.

    Args:
        lines: The lines of the input, with their line ends.
        name: The name of the input, for messages.
        form: "csv" or "tsv".
        readers: The readers of tables that the run has.

    Raises:
        DataError: The table has no column with the text; or the readers differ, so that it is
            open which of them is meant. The rows raise it for a row that is not a row of a table.
    """
    rest = iter(lines)
    first = next(rest, "")
    reader = _chosen(first, name, form, readers)
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a cell may hold a long document
    rows = csv.reader(
        chain([first], rest),
        delimiter=reader.separator,
        quoting=csv.QUOTE_MINIMAL if reader.quotes else csv.QUOTE_NONE,
        strict=True,
    )
    numbered = _numbered(rows, name)
    line, top = next(numbered, (1, []))
    if reader.columns is not None:
        indices = {column: index % max(len(top), 1) for column, index in reader.columns.items()}
        by_index = {index: column for column, index in indices.items()}
        columns = [by_index.get(index, f"column {index + 1}") for index in range(len(top))]
        header = None
        numbered = chain([(line, top)] if top else [], numbered)
    else:
        header = top
        columns = [cell.strip() or f"column {index + 1}" for index, cell in enumerate(top)]
    if top:
        _check_columns(columns, reader, name, line)
    return Table(reader, columns, header, _sentences(numbered, name, columns, reader))


def _numbered(rows: Iterator[list[str]], name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, each with the number of its first line."""
    line = 1
    try:
        for row in rows:
            if row:
                yield line, row
            line = rows.line_num + 1  # type: ignore[attr-defined]
    except csv.Error as error:
        raise DataError(f"not a readable table: {error}", name, line) from None


def _check_columns(columns: Sequence[str], reader: Csv, name: str, line: int) -> None:
    for column in filter(None, (reader.text, reader.pair)):
        if column not in columns:
            raise DataError(
                f"no column {column!r}, which the model reads"
                f"{did_you_mean(column, columns)}; rename the column of the text, check the "
                f"separator (here {reader.separator!r}), or select another format, such as --input "
                "conll for one word per line",
                name,
                line,
            )
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise DataError(f"two columns are named {twice!r}; rename one", name, line)


def _sentences(
    rows: Iterator[tuple[int, list[str]]], name: str, columns: Sequence[str], reader: Csv
) -> Iterator[Sentence]:
    names = [reader.text] if reader.pair is None else [reader.text, reader.pair]
    texts = [columns.index(column) for column in names] if columns else []
    for line, cells in rows:
        if len(cells) != len(columns):
            message = f"expected {len(columns)} columns, found {len(cells)}: {excerpt(cells)}"
            raise DataError(message, name, line)
        fields = Row(columns, cells, texts)
        sides = [Sentence.from_text(cells[index], cut=bool(reader.tokenize)) for index in texts]
        if reader.pair is None:
            sides[0].fields = fields
            yield sides[0]
        else:
            yield Sentence.pair(sides[0], sides[1], fields)


def _chosen(first: str, name: str, form: str, readers: Sequence[Csv]) -> Csv:
    """Return the reader for a table of a format, given its first line."""
    kind = Tsv if form == "tsv" else Csv
    # A reader of the other format knows the names of the columns, but not the separator.
    same = [reader for reader in readers if isinstance(reader, Tsv) == (kind is Tsv)] or [
        kind(text=r.text, pair=r.pair, columns=r.columns, tokenize=r.tokenize) for r in readers
    ]
    fitting = [reader for reader in same if _fits(reader, first)]
    settings = [(r.text, r.pair, r.columns, r.tokenize, r.separator, r.quotes) for r in fitting]
    if any(other != settings[0] for other in settings[1:]):
        message = "the tasks were trained on tables with different settings"
        raise DataError(f"{message}; choose tasks of one table with --task", name)
    return (fitting or same or [kind()])[0]


def _fits(reader: Csv, first: str) -> bool:
    """Return whether a table with this first line has a column of the text."""
    cells = next(csv.reader([first], delimiter=reader.separator), [])
    return reader.columns is not None or reader.text in map(str.strip, cells)
