"""Parts of pages: tables, notes, groups of charts, and series of pictures with a slider."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from mtl.pages.page import part


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    left: int = 1,
    identifier: str = "",
) -> Markup:
    """Return a table that a click on the header sorts.

    Args:
        header: The names of the columns.
        rows: The cells; None is a missing value.
        caption: The text above the table.
        left: The number of columns with text; the others have numbers, aligned to the right.
        identifier: The name of the table for filters.
    """
    return part("table", header, list(rows), caption, identifier, left)


def filters(identifier: str, columns: Sequence[tuple[str, int]]) -> Markup:
    """Return a box of filters for a table: one per column, and one for the text of the row.

    Args:
        identifier: The name of the table.
        columns: Name and index of each column, from 0, whose values can be chosen.
    """
    return part("filters", identifier, columns)


def frames(pictures: Sequence[tuple[str, Markup]], name: str) -> Markup:
    """Return a series of pictures; a slider shows one at a time.

    Args:
        pictures: The title of each picture, and the picture.
        name: The name of the slider.
    """
    return part("frames", list(pictures), name)


def grid(figures: Iterable[Markup]) -> Markup:
    """Return figures side by side where the page is wide enough."""
    return Markup('<div class="charts">{}</div>').format(Markup().join(figures))


def note(text: str) -> Markup:
    """Return a paragraph in a quieter colour."""
    return Markup('<p class="note">{}</p>').format(text)


def heading(text: str) -> Markup:
    """Return the heading of a part of a section."""
    return Markup("<h3>{}</h3>").format(text)


def folded(title: str, content: str | Markup) -> Markup:
    """Return a title that a click unfolds; a plain string is shown as code."""
    if not isinstance(content, Markup):
        content = Markup("<pre>{}</pre>").format(content)
    return Markup("<details><summary>{}</summary>{}</details>").format(title, content)
