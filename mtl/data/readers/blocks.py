"""What the column formats share: sentences as blocks of rows between blank lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"#\s*([^=\s][^=]*?)\s*=(?:\s+(.*))?")


@dataclass(slots=True)
class Block:
    """The lines of one sentence.

    Args:
        rows: The columns of each row, with its line.
        metadata: What its comment lines say.
    """

    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


def blocks(
    lines: Iterable[tuple[int, str]],
    split: Callable[[str], list[str]],
    is_comment: Callable[[str, list[str]], bool],
) -> Iterator[Block]:
    """Yield the sentences of a file; a line of blanks or `-DOCSTART-` ends one.

    Args:
        lines: The lines with their numbers.
        split: Cuts a line into columns.
        is_comment: Says of a line in front of a sentence, and its columns, if it is a comment.
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
        if not block.rows and is_comment(text, row):
            if assignment := _ASSIGNMENT.fullmatch(text):
                block.metadata[assignment[1]] = assignment[2] or ""
        else:
            block.rows.append((number, row))
    if block.rows:
        yield block


def excerpt(row: Iterable[str]) -> str:
    """Return a row for a message, cut where it is long."""
    text = " ".join(row)
    return repr(text if len(text) <= 60 else f"{text[:57]}…")
