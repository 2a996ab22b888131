"""One token per line, labels in columns, a blank line between sentences."""

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
    """The column files of the CoNLL shared tasks, and similar formats.

    A blank line ends a sentence, and so does a line that starts with `-DOCSTART-`.

    Args:
        columns: A list of column names from the left, or a mapping of names to indices, counted
            from 0, or from the right with -1 as the last. One column is `tokens`. By default
            `tokens: 0, labels: -1`.
        separator: Text between columns. By default, tabs in lines with a tab, and blanks in
            others.
        comments: Whether `#` lines before a sentence are comments. A line with as many columns as
            the other lines is a token, unless it has the form `# key = value` of metadata.
    """

    reads_sentences = True
    version = 1

    def __init__(
        self,
        *,
        columns: dict[str, int] | list[str] | None = None,
        separator: str | None = None,
        comments: bool = True,
    ) -> None:
        if isinstance(columns, list):
            columns = {name: index for index, name in enumerate(columns)}
        self.columns = columns or {"tokens": 0, "labels": -1}
        if "tokens" not in self.columns:
            found = ", ".join(self.columns)
            raise OptionError("columns", f"expected one of them to be 'tokens', got: {found}")
        if separator == "":
            raise OptionError("separator", "expected at least one character, got none")
        self.separator = separator
        self.comments = comments

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences; comments such as `# sent_id = 7` are metadata."""
        with open_text(path) as file:
            yield from self.parse(file, path)

    def parse(self, text: Iterable[str], path: str | Path) -> Iterator[Record]:
        """Yield the sentences of the lines of `path`, which error messages name."""
        lines = enumerate(text, 1)
        # The number of columns of the first token decides which `#` lines are comments, so read
        # ahead to it.
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
        indices = self.columns.values()
        needed = max(max(indices) + 1, -min(indices))
        if min(indices) < 0:  # counted from the right, a short row would yield the wrong column
            needed = max(needed, width)
        for block in blocks(
            lines, self._split, lambda text, row: self._is_comment(text, row, width)
        ):
            for number, row in block.rows:
                if len(row) < needed:
                    message = (
                        f"expected at least {needed} columns, found {len(row)}: {excerpt(row)}"
                    )
                    raise DataError(f"{message}; see `separator:` and `columns:`", path, number)
                # A line split at tabs or at `separator` may have empty cells.
                if "" in row and (empty := [n for n, k in self.columns.items() if not row[k]]):
                    message = f"column {empty[0]!r} is empty: {excerpt(row)}"
                    raise DataError(f"{message}; write _ for a missing label", path, number)
            columns = {name: [row[k] for _, row in block.rows] for name, k in self.columns.items()}
            yield Record(columns.pop("tokens"), columns, block.metadata, block.rows[0][0])

    def _split(self, text: str) -> list[str]:
        """Return the columns of a line."""
        if self.separator is not None:
            return text.split(self.separator)
        if "\t" in text:
            return text.split("\t")
        # Only ASCII blanks separate: a no-break space is part of a word.
        return [part for part in text.split(" ") if part]

    def _is_comment(self, text: str, row: list[str], width: int) -> bool:
        if not (self.comments and text.startswith("#")):
            return False
        # A tweet may start with a hashtag: `#nlp NN O` with all columns is a token.
        assignment = _ASSIGNMENT.match(text.split("\t")[0])
        return bool(assignment) or (len(row) != width and (text == "#" or " " in text))

    def _width(self, path: str | Path, line: int, row: list[str]) -> int:
        """Return the number of columns of the first row.

        Raises:
            DataError: The row lacks a column, or two names denote the same column.
        """
        count = f"{len(row)} column{'s' * (len(row) != 1)}"
        seen: dict[int, str] = {}
        for name, index in self.columns.items():
            if not -len(row) <= index < len(row):
                message = f"no column {index} for {name!r}: this line has {count} (from 0)"
                raise DataError(f"{message}: {excerpt(row)}; see `columns:`", path, line)
            other = seen.setdefault(index % len(row), name)
            if other != name:
                message = f"{other!r} and {name!r} are the same column: this line has {count}"
                raise DataError(f"{message}: {excerpt(row)}; see `columns:`", path, line)
        return len(row)
