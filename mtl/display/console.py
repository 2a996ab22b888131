"""The console of notes and progress bars, on standard error."""

from __future__ import annotations

from rich.console import Console


def notes_console(progress: bool | None) -> Console:
    """Return a console.

    Args:
        progress: True shows notes and progress bars; None shows the bars on a terminal only; False
            shows nothing.
    """
    return Console(stderr=True, quiet=progress is False, force_terminal=progress or None)


def tell(console: Console, line: str) -> None:
    """Print a line as it is."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)
