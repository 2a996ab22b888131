"""Tables fit into the width of the console without cutting numbers or names of scores."""

from __future__ import annotations

import io
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from mtl.display.tables import print_rows

HEADER = [
    "task",
    "accuracy",
    "set_f1",
    "macro_f1",
    "subset_accuracy",
    "pearson",
    "loss",
    "tokens/s",
]


def shown(header: Sequence[str], rows: Sequence[Sequence[str | None]], width: int) -> list[str]:
    """Return the lines of a table below its title."""
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None)
    print_rows(console, "title", header, rows)
    return text.getvalue().splitlines()[1:]


def cells(lines: list[str]) -> list[list[str]]:
    rows = [line.strip("┃│").replace("┃", "│") for line in lines if line[0] in "┃│"]
    return [[cell.strip() for cell in row.split("│")] for row in rows]


def test_a_table_that_fits_is_wide() -> None:
    rows = [["pos", "50.00", None, None, None, None, "0.123", "1,234"]]
    expected = [HEADER, ["pos", "50.00", "–", "–", "–", "–", "0.123", "1,234"]]
    assert cells(shown(HEADER, rows, 120)) == expected


def test_a_table_that_does_not_fit_has_one_value_per_row() -> None:
    rows = [
        ["pos", "50.00", None, None, None, None, "0.123", "1,234"],
        ["mood", None, "–", "1.00", "2.00", None, "0.456", None],
    ]
    assert cells(shown(HEADER, rows, 80)) == [
        ["task", "", ""],
        ["pos", "accuracy", "50.00"],
        ["pos", "loss", "0.123"],
        ["pos", "tokens/s", "1,234"],
        ["mood", "set_f1", "–"],
        ["mood", "macro_f1", "1.00"],
        ["mood", "subset_accuracy", "2.00"],
        ["mood", "loss", "0.456"],
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.text("abc_", min_size=1, max_size=70),
    st.integers(60, 100),
)
def test_nothing_is_cut(scores: int, tasks: int, name: str, width: int) -> None:
    header = ["task", *(f"score_number_{i}" for i in range(scores))]
    rows = [[name, *(f"{1000 * task + 10 * i}.25" for i in range(scores))] for task in range(tasks)]
    lines = shown(header, rows, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    for value in [*header[1:], *(cell for row in rows for cell in row[1:])]:
        assert f" {value} " in text


def test_places_are_not_wrapped() -> None:
    text = io.StringIO()
    console = Console(file=text, width=40, color_system=None)
    rows = [["tickets.csv:128", "a sentence of several words " * 3]]
    print_rows(console, "title", ["place", "words"], rows, left=2, keys=2, whole=1)
    assert "│ tickets.csv:128 │" in text.getvalue()
