"""Parts of a large file, which can be read independently of each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtl.files import open_bytes, open_part, open_text

PART = 4 << 20
"""The size of a part in bytes; smaller files have one part."""

LINE = re.compile(rb"\n")
BLANK_LINE = re.compile(rb"\n[ \t]*\r?\n")
"""The ends of parts: at the end of a line, or after a blank line."""

_TAIL = 1 << 16
"""The number of bytes at the end of a block that are searched first."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """A part of a file; it starts where a line starts.

    Args:
        start: The first byte.
        end: The byte after the last one.
        lines: The number of lines before the part.
    """

    start: int
    end: int
    lines: int


def divided(path: Path, ends: re.Pattern[bytes]) -> Iterator[FilePart | None]:
    """Yield the parts of a file in order; None is the whole file.

    Compressed and small files are not divided.

    Args:
        path: The file.
        ends: The text after which the file may be divided.

    Raises:
        DataError: The file cannot be read.
    """
    if path.suffix == ".gz" or not path.is_file() or path.stat().st_size <= PART:
        yield None
        return
    with open_bytes(path) as file:
        content, start, lines = b"", 0, 0
        while block := file.read(PART):
            content += block
            if size := _last_end(content, ends):
                yield FilePart(start, start + size, lines)
                start, lines = start + size, lines + content.count(b"\n", 0, size)
                content = content[size:]
        if content:
            yield FilePart(start, start + len(content), lines)


def _last_end(content: bytes, ends: re.Pattern[bytes]) -> int:
    """Return the position after the last end in some bytes, 0 without one."""
    for start in (max(0, len(content) - _TAIL), 0):
        place = 0
        for match in ends.finditer(content, start):
            place = match.end()
        if place:
            return place
    return 0


@contextmanager
def open_lines(path: Path, part: FilePart | None) -> Iterator[Iterator[tuple[int, str]]]:
    """Open a file, or a part of it, as its lines with their numbers from 1.

    Raises:
        DataError: As in `mtl.files.open_text`.
    """
    if part is None:
        with open_text(path) as file:
            yield enumerate(file, 1)
    else:
        with open_part(path, part.start, part.end, part.lines) as file:
            yield enumerate(file, part.lines + 1)
