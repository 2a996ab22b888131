"""The console of notes and progress bars, on standard error."""

from __future__ import annotations

from importlib.util import find_spec

from rich.console import Console


def notes_console(progress: bool | None) -> Console:
    """Return a console.

    Args:
        progress: True shows notes and progress bars; None shows the bars where they can be drawn;
            False shows nothing.
    """
    console = Console(stderr=True, quiet=progress is False)
    if progress and not console.is_jupyter:  # a notebook would show the control characters
        console = Console(stderr=True, force_terminal=True)
    return console


def draws_bars(console: Console) -> bool:
    """Return whether progress bars can be drawn: on a terminal, or in a notebook with ipywidgets.

    Without ipywidgets, a notebook would get a warning per step instead of a bar.
    """
    if console.is_jupyter:
        return not console.quiet and find_spec("ipywidgets") is not None
    return console.is_terminal


def tell(console: Console, line: str) -> None:
    """Print a line as it is."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)
