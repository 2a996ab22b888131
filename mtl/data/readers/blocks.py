"""Sentences as blocks of rows between blank lines, for all column formats."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"#\s*([^=\s][^=]*?)\s*=(?:\s+(.*))?")


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
            if assignment := _ASSIGNMENT.fullmatch(text):
                block.metadata[assignment[1]] = assignment[2] or ""
        else:
            block.rows.append((number, row))
    if block.rows:
        yield block


def excerpt(row: Iterable[str]) -> str:
    """Return a row for an error message, shortened to 60 characters."""
    text = " ".join(row)
    return repr(text if len(text) <= 60 else f"{text[:57]}…")
