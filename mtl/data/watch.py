"""How far the reading of a file is, for who waits for it."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_SOON = 1.0
"""Seconds after which waiting needs a reason."""


class Watch:
    """A bar that appears on a terminal if the reading of a file takes long, and then goes again.

    Args:
        path: The file.
        console: Where to show it; None: standard error.
    """

    def __init__(self, path: Path, console: Console | None = None) -> None:
        self._path = path
        self._begun = time.monotonic()
        self._progress = Progress(
            TextColumn("reading {task.description}"),
            BarColumn(bar_width=24),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
            transient=True,
        )
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._progress.stop()

    def at(self, line: int) -> None:
        """Say that a line has been read, counted from 1."""
        if self._shown:
            self._progress.update(self._progress.task_ids[0], completed=line)
        elif self._progress.console.is_terminal and time.monotonic() - self._begun > _SOON:
            self._shown = True
            self._progress.add_task(self._path.name, total=_lines(self._path), completed=line)
            self._progress.start()


def _lines(path: Path) -> int | None:
    """Return the number of lines, or None if it would have to be found out by reading it all."""
    if path.suffix == ".gz" or not path.is_file():
        return None
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
