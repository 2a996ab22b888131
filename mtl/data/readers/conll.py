"""One token a line, its labels in columns, a blank line between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.blocks import blocks, excerpt
from mtl.errors import DataError, OptionError
from mtl.files import open_text

_ASSIGNMENT = re.compile(r"# +\w[^=]* =( |$)")


class Conll(Reader):
    """The column files of the CoNLL shared tasks, and the many formats like them.

    A line of blanks ends a sentence, and so does one that begins with `-DOCSTART-`.

    Args:
        columns: The names of the columns from the left, or column name to number: from 0, or from
            the right with -1 as the last. One is `tokens`. By default `tokens: 0, labels: -1`.
        separator: What stands between columns. By default tabs in a line that has one, else blanks.
        comments: Whether `#` lines before a sentence are comments. A line with as many columns as
            the others is a token all the same, unless it reads `# key = value`: that is metadata.
    """

    version = 1

    def __init__(
        self,
        *,
        columns: dict[str, int] | list[str] | None = None,
        separator: str | None = None,
        comments: bool = True,
    ) -> None:
        if isinstance(columns, list):
            columns = {name: number for number, name in enumerate(columns)}
        self.columns = columns or {"tokens": 0, "labels": -1}
        if "tokens" not in self.columns:
            found = ", ".join(self.columns)
            raise OptionError("columns", f"expected one of them to be 'tokens', got: {found}")
        if separator == "":
            raise OptionError("separator", "expected at least one character, got none")
        self.separator = separator
        self.comments = comments

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences; what comments such as `# sent_id = 7` say is metadata."""
        with open_text(path) as file:
            yield from self.parse(file, path)

    def parse(self, text: Iterable[str], path: str | Path) -> Iterator[Record]:
        """Yield the sentences of lines that come from `path`, which messages name."""
        lines = enumerate(text, 1)
        head = []
        width = 0
        for number, line in lines:
            head.append((number, line))
            if line.strip(" \t\n") and not line.startswith(("#", "-DOCSTART-")):
                width = self._width(path, number, self._split(line.rstrip(" \t\n")))
                break
        yield from self._records(path, chain(head, lines), width)

    def _records(
        self, path: str | Path, lines: Iterator[tuple[int, str]], width: int
    ) -> Iterator[Record]:
        numbers = self.columns.values()
        needed = max(max(numbers) + 1, -min(numbers))
        if min(numbers) < 0:  # from the right, a short row would give the wrong column
            needed = max(needed, width)
        for block in blocks(
            lines, self._split, lambda text, row: self._is_comment(text, row, width)
        ):
            for number, row in block.rows:
                if len(row) < needed:
                    found = f"expected at least {needed} columns, found {len(row)}: {excerpt(row)}"
                    raise DataError(f"{found}; see `separator:` and `columns:`", path, number)
                if "" in row and (empty := [n for n, k in self.columns.items() if not row[k]]):
                    found = f"column {empty[0]!r} is empty: {excerpt(row)}"
                    raise DataError(f"{found}; write a mark such as _", path, number)
            columns = {name: [row[k] for _, row in block.rows] for name, k in self.columns.items()}
            yield Record(columns.pop("tokens"), columns, block.metadata, block.rows[0][0])

    def _split(self, text: str) -> list[str]:
        """Return the columns. Only ASCII blanks count: a no-break space is part of a word."""
        if self.separator is not None:
            return text.split(self.separator)
        if "\t" in text:
            return text.split("\t")
        return [part for part in text.split(" ") if part]

    def _is_comment(self, text: str, row: list[str], width: int) -> bool:
        if not (self.comments and text.startswith("#")):
            return False
        assignment = _ASSIGNMENT.match(text.split("\t")[0])
        return bool(assignment) or (len(row) != width and (text == "#" or " " in text))

    def _width(self, path: str | Path, line: int, row: list[str]) -> int:
        """Return the number of columns of the first row.

        Raises:
            DataError: It lacks a column that was asked for.
        """
        count = f"{len(row)} column{'s' * (len(row) != 1)}"
        seen: dict[int, str] = {}
        for name, number in self.columns.items():
            if not -len(row) <= number < len(row):
                found = f"there is no column {number} for {name!r}: this line has {count} (from 0)"
                raise DataError(f"{found}: {excerpt(row)}; see `columns:`", path, line)
            other = seen.setdefault(number % len(row), name)
            if other != name:
                found = f"{other!r} and {name!r} are the same column: this line has {count}"
                raise DataError(f"{found}: {excerpt(row)}; see `columns:`", path, line)
        return len(row)
