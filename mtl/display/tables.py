"""Tables that fit into the width of the console."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

DASH = "–"
Cells = Sequence[str | None]
"""The cells of a row; None where the row has no value in a column."""


def print_table(console: Console, title: str, table: Table) -> None:
    """Print a title and a table.

    The title is printed apart, since rich would wrap it to the width of the table.
    """
    console.print(title, style="italic", highlight=False, markup=False, soft_wrap=True)
    console.print(table)


def print_rows(
    console: Console,
    title: str,
    header: Sequence[str],
    rows: Iterable[Cells],
    *,
    left: int = 1,
    keys: int | None = None,
    whole: int = 0,
) -> None:
    """Print a title and a table; if it is too wide, a long table with one value per row.

    Args:
        console: The console.
        title: The title.
        header: The names of the columns.
        rows: The cells. None is shown as a dash, and left out of a long table.
        left: The number of left-aligned columns; the others are right-aligned.
        keys: The number of columns that identify a row, and that a long table repeats; None: the
            left-aligned ones.
        whole: The number of first columns that are never wrapped, such as places in files.
    """
    rows, keys = list(rows), left if keys is None else keys
    if _width(header, rows) > console.width and keys < len(header):
        rows = [
            [*row[:keys], name, cell]
            for row in rows
            for name, cell in zip(header[keys:], row[keys:], strict=True)
            if cell is not None
        ]
        header, left = [*header[:keys], "", ""], keys + 1 + (left == len(header))
    table = Table()
    for column, name in enumerate(header):
        # Only keys are wrapped: numbers and names of scores must not be cut.
        table.add_column(
            name,
            justify="left" if column < left else "right",
            overflow="fold",
            no_wrap=column >= keys or column < whole,
        )
    for row in rows:
        table.add_row(*(DASH if cell is None else cell for cell in row))
    print_table(console, title, table)


def _width(header: Sequence[str], rows: Sequence[Cells]) -> int:
    """Return the width of a table: cells, two blanks of padding each, and the lines between."""
    columns = zip(header, *rows, strict=True)
    widths = [
        max(cell_len(line) for cell in column for line in (cell or DASH).split("\n"))
        for column in columns
    ]
    return sum(width + 3 for width in widths) + 1
