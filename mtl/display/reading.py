"""Messages while files are read: a progress bar for a large file, and imported modules."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_DELAY = 1.0
"""Seconds before the bar appears; fast files show none."""


@contextmanager
def show_reading(path: Path, console: Console | None = None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal while a large file is read, and remove it at the end.

    Args:
        path: The file.
        console: The console; None means standard error.

    Yields:
        A function to call with the number of each line that has been read, from 1.
    """
    from rich.console import Console

    progress: Progress | None = None
    console = console or Console(stderr=True)
    started = time.monotonic()

    def update(line: int) -> None:
        nonlocal progress
        if progress:
            progress.update(progress.task_ids[0], completed=line)
        elif console.is_terminal and time.monotonic() - started > _DELAY:
            progress = reading_bar(console)
            # Lines are counted only now, so that small files are not read twice.
            progress.add_task(path.name, total=_lines(path), completed=line)
            progress.start()

    try:
        yield update
    finally:
        if progress:
            progress.stop()


def reading_bar(console: Console, verb: str = "reading") -> Progress:
    """Return a progress bar with ETA for terminals, which disappears at the end."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn(f"{verb} {{task.description}}"),
        BarColumn(bar_width=24),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def show_import(module: str) -> None:
    """Tell on standard error that a run folder makes the program import a module."""
    from rich.console import Console

    text = f"imports {module}, which the run names and --trust (trust=True) allows"
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)


def _lines(path: Path) -> int | None:
    """Return the number of lines; None for compressed files and streams."""
    if path.suffix == ".gz" or not path.is_file():
        return None
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
