"""The data of the project as Python objects."""

from __future__ import annotations

from tests.cli import project


def news(count: int, seed: int) -> list[dict[str, list[str]]]:
    """Return the sentences that `project.news` writes."""
    blocks = project.news(count, seed).strip().split("\n\n")
    columns = [zip(*(line.split() for line in block.splitlines()), strict=True) for block in blocks]
    return [dict(zip(("tokens", "pos", "ner"), map(list, c), strict=True)) for c in columns]


def moods(count: int, seed: int) -> list[tuple[str, str]]:
    """Return the rated sentences that `project.moods` writes."""
    rows = [row.partition("\t") for row in project.moods(count, seed).splitlines()[1:]]
    return [(text, mood) for text, _, mood in rows]
