"""A picture of scores over speeds, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import floor, log10
from typing import NamedTuple

WIDTH, HEIGHT = 560, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 34, 44
FONT = 11


class Point(NamedTuple):
    """A contestant.

    Args:
        name: Its name.
        speed: Its speed.
        scores: Its scores, one per panel.
    """

    name: str
    speed: float
    scores: Sequence[float]


def picture(points: Sequence[Point], titles: Sequence[str], below: str) -> str:
    """Return a picture with one panel per score; the axis of speeds is logarithmic."""
    panels = "".join(
        f'<g transform="translate({i * WIDTH},0)">{"".join(_panel(points, i, title, below))}</g>'
        for i, title in enumerate(titles)
    )
    width = WIDTH * len(titles)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" '
        f'height="{HEIGHT}" font-family="sans-serif" font-size="{FONT}">'
        f'<rect width="{width}" height="{HEIGHT}" fill="#fff"/>{panels}</svg>\n'
    )


def _panel(points: Sequence[Point], panel: int, title: str, below: str) -> Iterator[str]:
    if not points:
        return
    speeds, scores = [log10(p.speed) for p in points], [p.scores[panel] for p in points]
    low, high = min(speeds) - 0.15, max(speeds) + 0.15
    room = max(1.0, 0.08 * (max(scores) - min(scores)))
    bottom, top = min(scores) - room, max(scores) + room

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

    yield f'<text x="{LEFT}" y="20" font-weight="bold">{escape(title)}</text>'
    for exponent in range(floor(low), floor(high) + 1):
        for digit in (1, 2, 5):
            place = exponent + log10(digit)
            if low <= place <= high:
                yield _line(x(place), TOP, x(place), HEIGHT - BOTTOM)
                yield _text(x(place), HEIGHT - BOTTOM + 15, f"{digit * 10**exponent:,}", "middle")
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 50) if (top - bottom) / s <= 8)
    value = step * (bottom // step + 1)
    while value < top:
        yield _line(LEFT, y(value), WIDTH - RIGHT, y(value))
        yield _text(LEFT - 6, y(value) + 4, f"{value:g}", "end")
        value += step
    yield _text((LEFT + WIDTH) / 2, HEIGHT - 8, below, "middle")
    taken: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda p: -p.scores[panel]):
        at, height = x(log10(point.speed)), y(point.scores[panel])
        own = point.name.startswith("mtl")
        color = "#c2410c" if own else "#475569"
        yield f'<circle cx="{at:.1f}" cy="{height:.1f}" r="4" fill="{color}"/>'
        # A name stands right of its point, or left of it near the edge; below names in its way.
        length = 6.0 * len(point.name)
        start = at + 8 if at + 8 + length < WIDTH else at - 8 - length
        line = height + 4
        while any(
            abs(line - other) < FONT + 1 and start < right and left < start + length
            for other, left, right in taken
        ):
            line += 2
        taken.append((line, start, start + length))
        anchor, edge = ("start", start) if start > at else ("end", at - 8)
        yield _text(edge, line, point.name, anchor, color)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#e2e8f0"/>'


def _text(x: float, y: float, text: str, anchor: str, color: str = "#0f172a") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{escape(text)}</text>'
    )
