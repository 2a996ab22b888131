"""Curves and heat maps made of characters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

_HEIGHTS = "▁▂▃▄▅▆▇█"
_WIDTH = 24
"""The most characters of a curve."""
_LARGEST = 12
"""The most rows or columns of a matrix that is drawn."""


def curve(values: Sequence[float]) -> str:
    """Return a curve, scaled to its lowest and highest value; long series are thinned out.

    >>> curve([0.0, 0.5, 1.0, math.nan])
    '▁▅█ '
    """
    if len(values) > _WIDTH:
        values = [values[round(i * (len(values) - 1) / (_WIDTH - 1))] for i in range(_WIDTH)]
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return "".join(
        _HEIGHTS[round(7 * _place(value, low, high))] if math.isfinite(value) else " "
        for value in values
    )


def _place(value: float, low: float, high: float) -> float:
    """Return the position of a value between two others, from 0 to 1."""
    return (value - low) / (high - low) if high > low else 0.5


def draw_learnt(console: Console, epochs: Sequence[Mapping[str, Any]]) -> None:
    """Print the learned values of a run: a curve per scalar, heat maps of vectors and matrices.

    Args:
        console: The console.
        epochs: The records of the epochs. Heat maps show the first, the middle and the last epoch.
    """
    recorded = [epoch for epoch in epochs if epoch.get("learnt")]
    if not recorded:
        return
    for name, last in recorded[-1]["learnt"].items():
        values = [epoch["learnt"][name] for epoch in recorded]
        if not isinstance(last, list):
            text = f"{name}: {values[0]:z.3f} to {last:z.3f}  {curve(values)}"
            console.print(text, soft_wrap=True)
            continue
        shape = (len(last), len(last[0])) if isinstance(last[0], list) else (1, len(last))
        if max(shape) > _LARGEST:
            size = " × ".join(map(str, shape))
            console.print(f"{name}: {size}, too large to draw; see TensorBoard", soft_wrap=True)
            continue
        chosen = sorted({0, (len(recorded) - 1) // 2, len(recorded) - 1})
        console.print(f"{name}, epochs {', '.join(str(recorded[i]['epoch'] + 1) for i in chosen)}:")
        axes = recorded[-1].get("axes", {}).get(name, [])
        matrices = [_matrix(values[i]) for i in chosen]
        console.print(Columns(_heat_maps(matrices, axes), padding=(0, 3)))


def _matrix(values: list[Any]) -> list[list[float]]:
    """Return a matrix; a vector becomes its only row."""
    return values if isinstance(values[0], list) else [values]


def _heat_maps(matrices: Sequence[list[list[float]]], axes: Sequence[Sequence[str]]) -> list[Table]:
    """Return matrices as tables with a common scale: the largest number is white."""
    numbers = [n for matrix in matrices for row in matrix for n in row if math.isfinite(n)]
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    rows, columns = axes if len(axes) == 2 else ([""], *axes) if axes else (None, None)
    maps = []
    for matrix in matrices:
        table = Table(box=None, show_header=columns is not None, padding=0)
        table.add_column("")
        for name in columns or matrix[0]:
            table.add_column(f" {name}", justify="right", no_wrap=True)
        for i, row in enumerate(matrix):
            cells = [_cell(number, low, high) for number in row]
            table.add_row(f"{rows[i]} " if rows else "", *cells)
        maps.append(table)
    return maps


def _cell(number: float, low: float, high: float) -> Text:
    if not math.isfinite(number):
        return Text(f" {number} ")
    level = round(255 * _place(number, low, high))
    ink = "black" if level > 127 else "white"
    return Text(f" {number:z.2f} ", style=f"{ink} on rgb({level},{level},{level})")
