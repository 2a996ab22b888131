"""Sentences as blocks of rows between blank lines, for all column formats."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from mtl.errors import DataError, OptionError, shorten
from mtl.files import open_text
from mtl.options import count


@dataclass(slots=True)
class Block:
    """The lines of one sentence.

    Args:
        rows: The line number and the columns of each row.
        metadata: Keys and values from its comment lines.
    """

    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


def blocks(
    lines: Iterable[tuple[int, str]],
    split: Callable[[str], list[str]],
    is_comment: Callable[[str, list[str]], bool],
) -> Iterator[Block]:
    """Yield the sentences of a file; a blank line or `-DOCSTART-` ends a sentence.

    Args:
        lines: Line numbers and lines.
        split: Splits a line into columns.
        is_comment: Receives a line before a sentence and its columns; returns whether the line is
            a comment.
    """
    block = Block()
    for number, text in lines:
        text = text.rstrip(" \t\n")
        if not text or text.startswith("-DOCSTART-"):
            if block.rows:
                yield block
            block = Block()
            continue
        row = split(text)
        # Inside a sentence, a line that starts with # is a token: "#1 priority".
        if not block.rows and is_comment(text, row):
            key, equals, value = text.removeprefix("#").partition("=")
            if equals and key.strip() and not value[:1].strip():
                block.metadata[key.strip()] = value.lstrip()
        else:
            block.rows.append((number, row))
    if block.rows:
        yield block


_DOCUMENT = re.compile(r"-DOCSTART-|# *newdoc\b")


def document_starts(path: Path) -> list[int]:
    """Return the lines of a file that begin a document: `-DOCSTART-` and `# newdoc`."""
    with open_text(path) as lines:
        return [number for number, line in enumerate(lines, 1) if _DOCUMENT.match(line)]


def excerpt(row: Iterable[str], separator: str = " ") -> str:
    """Return a row for an error message, shortened to 60 characters."""
    return repr(shorten(separator.join(row), 60))


def by_name(columns: Mapping[str, int] | Sequence[str]) -> dict[str, int]:
    """Return the indices of columns by name, for a list of names from the left.

    Raises:
        OptionError: A name occurs twice.
    """
    if isinstance(columns, Mapping):
        return dict(columns)
    indices: dict[str, int] = {}
    for index, name in enumerate(columns):
        if name in indices:
            raise OptionError("columns", f"expected different names, got {name!r} twice")
        indices[name] = index
    return indices


def check_columns(
    columns: Mapping[str, int], row: Sequence[str], path: str | Path, line: int
) -> None:
    """Check that a row has all columns, and that no two names denote the same one.

    Args:
        columns: Name to index, from 0, or from the right with -1 as the last.
        row: The row.
        path: The file, for messages.
        line: The line of the row.

    Raises:
        DataError: One of them does not hold.
    """
    width = f"this line has {count(len(row), 'column')}"
    seen: dict[int, str] = {}
    for name, index in columns.items():
        if not -len(row) <= index < len(row):
            message = f"no column {index} for {name!r}: {width} (from 0)"
            raise DataError(f"{message}: {excerpt(row)}; see `columns:`", path, line)
        other = seen.setdefault(index % len(row), name)
        if other != name:
            message = f"{other!r} and {name!r} are the same column: {width}"
            raise DataError(f"{message}: {excerpt(row)}; see `columns:`", path, line)


def is_header(labels: Mapping[str, str]) -> bool:
    """Return whether each label of a row is the name of its column: the row is a header.

    >>> is_header({"pos": "POS", "labels": "label"}), is_header({"pos": "NN"}), is_header({})
    (True, False, False)

    Args:
        labels: The name of each column of labels to its cell.
    """
    return bool(labels) and all(_key(name) == _key(cell) for name, cell in labels.items())


def _key(name: str) -> str:
    return name.strip().casefold().removesuffix("s")


_TAG = re.compile(r"O|[BIESLUM]-\S+|[A-Z][A-Z0-9$_+-]*|[^\w\s]+|_")
"""A part of speech, a phrase or a span tag, as the files of the CoNLL tasks have them."""

_LEAST = 4
"""The least number of lines that can look like columns."""


def looks_like_columns(lines: Iterable[str]) -> bool:
    """Return whether lines look like one word per line with tags in columns.

    >>> looks_like_columns(["Dogs NOUN", "bark VERB", "", "Cats NOUN", "sleep VERB"])
    True
    >>> looks_like_columns(["Dogs bark .", "Cats sleep .", "Cats run .", "Dogs run ."])
    False

    Args:
        lines: The first lines of a file.
    """
    texts = [line.strip() for line in lines if line.strip() and line[0] != "#"]
    rows = [text.split("\t") if "\t" in text else text.split() for text in texts]
    return (
        len(rows) >= _LEAST
        and len({len(row) for row in rows}) == 1
        and any(
            all(map(_TAG.fullmatch, column))
            and 1 < len({*column}) < len(column)
            and any(cell[0].isalpha() for cell in column)
            for column in [*zip(*rows, strict=True)][1:]
        )
    )


def first_look(lines: Iterator[tuple[int, str]]) -> tuple[Iterator[tuple[int, str]], str]:
    """Return the numbered lines of a text, and its oddity if it looks like a file of columns.

    The oddity is "" if it does not, and for the lines of a later part.
    """
    head = list(islice(lines, 100))
    oddity = "the lines look like words with tags in columns; see `reader: {type: conll}`"
    columns = bool(head) and head[0][0] == 1 and looks_like_columns(text for _, text in head)
    return chain(head, lines), oddity if columns else ""
