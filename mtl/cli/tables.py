"""Tables of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from mtl.display.tables import Cells
    from mtl.metrics import Unit
    from mtl.metrics.spread import Spread


def plain_console() -> Console:
    """Return a console for standard output that prints labels and names without markup."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


def print_spread(
    title: str, scores: Mapping[str, Mapping[str, Spread]], units: Mapping[str, Unit]
) -> None:
    """Print mean ± standard deviation of each score, one row per task.

    Args:
        title: The title of the table.
        scores: Task to its scores by name.
        units: Task to the unit of its scores.
    """
    names = list(dict.fromkeys(name for by_name in scores.values() for name in by_name))
    rows = [
        [task, *(by_name[name].shown(units[task]) if name in by_name else None for name in names)]
        for task, by_name in scores.items()
    ]
    print_rows(title, ["task", *names], rows)


def print_rows(
    title: str,
    header: Sequence[str],
    rows: Sequence[Cells],
    form: Literal["text", "markdown"] = "text",
    *,
    left: int = 1,
    keys: int | None = None,
    whole: int = 0,
) -> None:
    """Print a table on standard output.

    Args:
        title: The title above the table.
        header: The names of the columns.
        rows: The cells.
        form: "text" for a terminal, or "markdown".
        left: The number of left-aligned columns; the others are right-aligned.
        keys: See `mtl.display.tables.print_rows`.
        whole: See `mtl.display.tables.print_rows`.
    """
    from mtl.display import tables

    if form == "markdown":
        rule = ["---"] * left + ["---:"] * (len(header) - left)
        escaped = [
            [(cell or tables.DASH).replace("|", "\\|") for cell in row]
            for row in (header, rule, *rows)
        ]
        typer.echo("\n".join([f"{title}:", "", *(f"| {' | '.join(row)} |" for row in escaped), ""]))
        return
    tables.print_rows(plain_console(), title, header, rows, left=left, keys=keys, whole=whole)
