"""How far the reading of a file is, for who waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_SOON = 1.0
"""Seconds after which waiting needs a reason."""


@contextmanager
def show_reading(path: Path, console: Console | None = None) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal if the reading of a file takes long, and take it away again.

    Give a function to be told of the line, counted from 1, that has been read.

    Args:
        path: The file.
        console: Where to show it; None: standard error.
    """
    progress = Progress(
        TextColumn("reading {task.description}"),
        BarColumn(bar_width=24),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
        transient=True,
    )
    begun = time.monotonic()

    def at(line: int) -> None:
        if progress.task_ids:
            progress.update(progress.task_ids[0], completed=line)
        elif progress.console.is_terminal and time.monotonic() - begun > _SOON:
            progress.add_task(path.name, total=_lines(path), completed=line)
            progress.start()

    try:
        yield at
    finally:
        if progress.task_ids:
            progress.stop()


def _lines(path: Path) -> int | None:
    """Return the number of lines, or None if it would have to be found out by reading it all."""
    if path.suffix == ".gz" or not path.is_file():
        return None
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
