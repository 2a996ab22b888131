"""Progress while a file is labelled: a bar with the time left, and the speed at the end."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mtl.files import exists

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_REFRESH = 0.1
"""Least number of seconds between two updates of the bar."""


@contextmanager
def show_teacher(console: Console, work: str, sentences: int) -> Iterator[Callable[[int], object]]:
    """Tell that a teacher labels sentences, with a progress bar with ETA on a terminal.

    Args:
        console: The console.
        work: The name of the teacher and its work, such as "runs/a labels".
        sentences: The number of sentences.

    Yields:
        A function to call with the number of sentences that are labelled.
    """
    from mtl.display.reading import reading_bar

    line = f"{work} {sentences:,} sentences, unless the cache has the result"
    console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal or console.quiet:
        yield lambda done: None
        return
    with reading_bar(console, "labelling") as progress:
        bar = progress.add_task("", total=sentences)
        yield lambda done: progress.update(bar, completed=done)


class LabellingProgress:
    """Shows how much of a file was labelled, and at the end the speed, on standard error.

    It shows nothing if standard error is not a terminal, or if the input is not a file. Progress is
    measured in bytes of the file, compressed ones if it is compressed.

    Args:
        path: The input; None: standard input.
        bar: Whether to show the bar; not if the predictions go to the same terminal.
        console: The console; None means standard error.
    """

    def __init__(self, path: Path | None, *, bar: bool, console: Console | None = None) -> None:
        self._path = path
        self._file: io.BufferedReader | None = None
        self._progress: Progress | None = None
        self._console = console
        self._shown = path is not None and exists(path, Path.is_file)
        if self._shown and console is None:
            self._shown = sys.stderr is not None and sys.stderr.isatty()
        self._bar = bar
        self._refreshed = 0.0
        self._started = time.monotonic()
        self.sentences = 0
        """Number of sentences so far."""
        self.tokens = 0
        """Number of their tokens."""

    def __enter__(self) -> Self:
        if not self._shown:
            return self
        from rich.console import Console

        self._console = self._console or Console(stderr=True)
        self._shown = self._console.is_terminal
        if self._shown and self._bar and self._path:
            from mtl.display.reading import reading_bar

            self._progress = reading_bar(self._console, "labelling")
            self._progress.add_task(self._path.name, total=self._path.stat().st_size)
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress:
            self._progress.stop()
        if self._shown and self._console and kind is None:
            seconds = time.monotonic() - self._started
            speed = self.tokens / max(seconds, 1e-9)
            text = (
                f"{self.sentences:,} sentences, {self.tokens:,} tokens in {seconds:,.1f} s "
                f"({speed:,.0f} tokens/s)"
            )
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def opened(self, file: io.BufferedReader) -> None:
        """Take the open file, whose position is read from now on."""
        self._file = file

    @property
    def position(self) -> int | None:
        """The number of bytes that have been read; None if it is unknown."""
        if not self._progress or not self._file or not self._path:
            return None
        return self._path.stat().st_size if self._file.closed else self._file.tell()

    def add(self, sentences: int, tokens: int, position: int | None) -> None:
        """Count labelled sentences, and move the bar to a position of the file."""
        self.sentences += sentences
        self.tokens += tokens
        if self._progress and position is not None:
            if (now := time.monotonic()) - self._refreshed < _REFRESH:
                return
            self._refreshed = now
            self._progress.update(self._progress.task_ids[0], completed=position)
