"""One token per line, labels in columns, a blank line between sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.blocks import (
    blocks,
    by_name,
    check_columns,
    document_starts,
    excerpt,
    is_header,
)
from mtl.data.readers.parts import BLANK_LINE, FilePart, open_lines
from mtl.errors import DataError, OptionError
from mtl.files import open_text

_ASSIGNMENT = re.compile(r"# +\w[^=]* =( |$)")


_WORD_NAMES = {"token", "tokens", "word", "words", "form", "text"}
"""Names of the column of words, in the headers of files."""

_LONG = 1000
"""The number of words above which a sentence is probably a whole file."""


class Conll(Reader):
    """The column files of the CoNLL shared tasks, and similar formats.

    A blank line ends a sentence, and so does a line that starts with `-DOCSTART-`. All lines of a
    sentence have the same number of columns; if they are separated by tabs and `columns` counts
    from the left only, further columns may follow.

    Args:
        columns: A list of column names from the left, or a mapping of names to indices, counted
            from 0, or from the right of each line with -1 as the last. One column is `tokens`. By
            default `tokens: 0, labels: -1`.
        separator: Text between columns. By default tabs if the first token has a tab in its line,
            else blanks.
        comments: Whether `#` lines before a sentence are comments. A line with as many columns as
            the other lines is a token, unless it has the form `# key = value` of metadata.
    """

    reads_sentences = True
    version = 3

    def __init__(
        self,
        *,
        columns: dict[str, int] | list[str] | None = None,
        separator: str | None = None,
        comments: bool = True,
    ) -> None:
        self.columns = by_name(columns or {"tokens": 0, "labels": -1})
        if "tokens" not in self.columns:
            found = ", ".join(self.columns)
            raise OptionError("columns", f"expected one of them to be 'tokens', got: {found}")
        if separator == "":
            raise OptionError("separator", "expected at least one character, got none")
        self.separator = separator
        self.comments = comments

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences; comments such as `# sent_id = 7` are metadata."""
        return self.read_part(path, None)

    def ends(self) -> re.Pattern[bytes]:
        """Return blank lines."""
        return BLANK_LINE

    def read_part(self, path: Path, part: FilePart | None) -> Iterator[Record]:
        """Yield the sentences of a part of a file."""
        first = ""
        if part and part.lines:
            with open_text(path) as file:
                _, first = _to_first_token(enumerate(file, 1))
        with open_lines(path, part) as lines:
            if first:
                yield from self._records(path, lines, first, begun=True)
            else:
                yield from self._all(path, lines)

    def document_starts(self, path: Path) -> list[int]:
        """Return the lines with `-DOCSTART-` or `# newdoc`."""
        return document_starts(path)

    def parse(self, text: Iterable[str], path: str | Path) -> Iterator[Record]:
        """Yield the sentences of the lines of `path`, which error messages name."""
        return self._all(path, enumerate(text, 1))

    def _all(self, path: str | Path, lines: Iterator[tuple[int, str]]) -> Iterator[Record]:
        head, first = _to_first_token(lines)
        yield from self._records(path, chain(head, lines), first)

    def _records(
        self,
        path: str | Path,
        lines: Iterable[tuple[int, str]],
        first: str,
        *,
        begun: bool = False,
    ) -> Iterator[Record]:
        """Yield the sentences of some lines; `begun`: the lines follow others of the file."""
        split = self._splitter(first)
        width = len(split(first))
        checked: set[int] = set()
        for block in blocks(lines, split, partial(self._is_comment, width, split is _at_tabs)):
            line, row = block.rows[0]
            if len(row) not in checked:
                check_columns(self.columns, row, path, line)
            widths = self._check_rows(path, block.rows, width, split is _at_tabs)
            columns = {name: [row[k] for _, row in block.rows] for name, k in self.columns.items()}
            tokens = columns.pop("tokens")
            # A tag may be called like its column, so the word has to be a name as well.
            names = {name: cells[0] for name, cells in columns.items()}
            if not (begun or checked) and tokens[0].casefold() in _WORD_NAMES and is_header(names):
                message = f"the first row names the columns: {excerpt(row)}"
                raise DataError(f"{message}; remove it from the file", path, line)
            checked |= widths
            if width and widths != {width}:
                oddity = "another number of columns than in the first line"
            elif len(tokens) > _LONG:
                oddity = f"more than {_LONG} words; a blank line ends a sentence"
            elif tokens[0] == "#" and self.comments and split is _at_blanks:
                oddity = (
                    "a line that starts with # is read as a word; write comments as `# key = value`"
                )
            else:
                oddity = ""
            yield Record(tokens, columns, block.metadata, line, oddity=oddity)

    def _check_rows(
        self, path: str | Path, rows: list[tuple[int, list[str]]], width: int, tabs: bool
    ) -> set[int]:
        """Return the numbers of columns of the rows of a sentence.

        Args:
            path: The file, for messages.
            rows: The line numbers and the rows.
            width: The number of columns of the first token in the file.
            tabs: Whether the columns are separated by tabs.

        Raises:
            DataError: A row lacks a column, or it may have the labels in the wrong ones.
        """
        indices = self.columns.values()
        needed = max(indices) + 1
        widths = {len(row) for _, row in rows}
        # A blank inside a word moves its labels to the right. A tab does not occur inside words,
        # so that columns counted from the left are where they should be.
        expected = None
        if len(widths) > 1 and not (tabs and min(indices) >= 0):
            expected = width if width in widths else len(rows[0][1])
        if expected or min(widths) < needed:
            count = expected or f"at least {needed}"
            line, row = next(
                (line, row)
                for line, row in rows
                if (len(row) != expected if expected else len(row) < needed)
            )
            message = f"expected {count} columns, found {len(row)}: {excerpt(row)}"
            raise DataError(
                f"{message}; correct the line, or set `separator:` and `columns:`", path, line
            )
        for line, row in rows:
            # A line split at tabs or at `separator` may have empty cells.
            if "" in row and (empty := [n for n, k in self.columns.items() if not row[k]]):
                message = f"column {empty[0]!r} is empty: {excerpt(row)}"
                raise DataError(f"{message}; write _ for a missing label", path, line)
        return widths

    def column_separator(self, lines: Iterable[str]) -> str | None:
        """Return the text between the columns of a file; None: blanks and tabs.

        Args:
            lines: The lines of the file.
        """
        split = self._splitter(_to_first_token(iter(enumerate(lines, 1)))[1])
        if split is _at_blanks:
            return None
        return "\t" if split is _at_tabs else self.separator

    def _splitter(self, first: str) -> Callable[[str], list[str]]:
        """Return the function that splits the lines of a file into columns.

        Args:
            first: The line of the first token; it decides for the whole file.
        """
        if self.separator is not None and self.separator != "\t":
            return partial(_at, self.separator)
        return _at_tabs if self.separator or "\t" in first else _at_blanks

    def _is_comment(self, width: int, tabs: bool, text: str, row: list[str]) -> bool:
        if not (self.comments and text.startswith("#")):
            return False
        # A tweet may start with a hashtag: `#nlp NN O` with all columns is a token.
        if _ASSIGNMENT.match(text.split("\t")[0]):
            return True
        if tabs and len(row) == 1:
            return True
        return len(row) != width and (text == "#" or " " in text)


def _to_first_token(lines: Iterator[tuple[int, str]]) -> tuple[list[tuple[int, str]], str]:
    """Read to the first token, which decides which `#` lines are comments.

    Returns:
        The lines, and the line of the token without its end.
    """
    head = []
    for number, line in lines:
        head.append((number, line))
        if line.strip(" \t\n") and not line.startswith(("#", "-DOCSTART-")):
            return head, line.rstrip(" \t\n")
    return head, ""


def _at_tabs(text: str) -> list[str]:
    return text.split("\t")


def _at_blanks(text: str) -> list[str]:
    # Only ASCII blanks separate: a no-break space is part of a word.
    row = text.replace("\t", " ").split(" ")
    return [part for part in row if part] if "" in row else row


def _at(separator: str, text: str) -> list[str]:
    return text.split(separator)
