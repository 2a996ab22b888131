"""Tables of scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from mtl.metrics.spread import Spread


def plain_console() -> Console:
    """Return a console for standard output that shows labels and names as they are."""
    return Console(markup=False, emoji=False, highlight=False)


def print_spread(title: str, scores: dict[str, dict[str, Spread]]) -> None:
    """Print mean ± standard deviation of each score: a row a task."""
    from mtl.training.display import print_table

    names = list(dict.fromkeys(name for by_name in scores.values() for name in by_name))
    table = Table("task")
    for name in names:
        table.add_column(name, justify="right")
    for task, by_name in scores.items():
        cells = [by_name[name].shown(name) if name in by_name else "–" for name in names]
        table.add_row(task, *cells)
    print_table(plain_console(), title, table)
