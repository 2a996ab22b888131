"""Charts as SVG for pages: lines, heat maps, bars and reliability diagrams.

Colours come from `style.css`. All functions return a `<figure>` as `Markup`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

COLOURS = 8
"""The number of distinct colours in `style.css`; later ones repeat them."""
_DASHES = ("", "6 4", "2 3", "9 3 2 3")
_WIDTH, _HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 10, 34
_POINTS = 200
"""The largest number of points of a line that are drawn; longer lines are thinned out evenly."""
_TITLES = 40
"""The largest number of points of a line that show their values below the pointer."""
_LETTER = 7.2
"""The width of a letter in pixels, for names; capitals are wide."""
_LONGEST = 18
"""The largest number of characters of the name of a row or column."""


class Line(NamedTuple):
    """A line of a chart.

    Args:
        name: Its name in the legend.
        points: Pairs of x and y. The line has a gap where y is not finite.
        colour: The number of the colour.
        dashes: The number of the pattern; 0 is a solid line.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    dashes: int = 0


class _Scale(NamedTuple):
    """A linear map from [low, high] to [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, number: int = 5) -> list[float]:
    """Return about `number` round numbers in [low, high].

    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if not high > low:
        return [low]
    rough = (high - low) / number
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(own for own in (1, 2, 5, 10) if own * power >= rough * 0.999)
    digits = max(0, -math.floor(math.log10(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, digits) + 0.0 for index in range(first, last + 1)]


def number(value: float) -> str:
    """Return a number with four significant digits.

    >>> number(0.00123456), number(12345.6), number(float("nan"))
    ('0.001235', '12,346', '–')
    """
    if not math.isfinite(value):
        return "–"
    if value and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.3e}"
    digits = 0 if abs(value) >= 1e4 else 3 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:z,.{max(digits, 0)}f}"


def lines(series: Sequence[Line], *, title: str, x: str = "", y: str = "") -> Markup:
    """Return a chart of several lines with a legend.

    Args:
        series: The lines.
        title: The title above the chart.
        x: The name of the horizontal axis.
        y: The name of the vertical axis.
    """
    finite = [p for line in series for p in line.points if math.isfinite(p[1])]
    if not finite:
        return _figure(title, Markup(), Markup('<p class="faint">no values</p>'))
    across = _Scale(*_range([p[0] for p in finite]), _LEFT, _WIDTH - _RIGHT)
    up = _Scale(*_range([p[1] for p in finite], 0.04), _HEIGHT - _BOTTOM, _TOP)
    parts = [_axes(across, up, x, y), *(_line(own, across, up, x) for own in series)]
    legend = Markup().join(_entry(own) for own in series) if len(series) > 1 else Markup()
    if legend:
        legend = Markup('<ul class="legend">{}</ul>').format(legend)
    return _figure(title, legend, _svg(_WIDTH, _HEIGHT, title, parts))


def heat_map(
    values: Sequence[Sequence[float]],
    rows: Sequence[str] | None,
    columns: Sequence[str] | None,
    *,
    title: str,
    low: float | None = None,
    high: float | None = None,
    texts: Sequence[Sequence[str]] | None = None,
) -> Markup:
    """Return a matrix of shaded cells.

    If there are negative numbers, blue is positive, orange is negative, and zero has no shade.

    Args:
        values: The matrix; NaN is an empty cell.
        rows: The names of the rows, or None.
        columns: The names of the columns, or None.
        title: The title above the chart.
        low: The number without shade, if no number is negative; default: the smallest.
        high: The number of the strongest shade; default: the largest absolute value.
        texts: The texts of the cells, which may be empty; default: the numbers.
    """
    finite = [value for row in values for value in row if math.isfinite(value)]
    signed = min(finite, default=0.0) < 0
    high = max((abs(v) for v in finite), default=0.0) if high is None else high
    low = 0.0 if signed else min(finite, default=0.0) if low is None else low
    if texts is None:
        texts = [[number(value) if math.isfinite(value) else "" for value in row] for row in values]
    width = max(34.0, 8 + _LETTER * max((len(text) for row in texts for text in row), default=0))
    left = 10 + _LETTER * max((len(_cut(name)) for name in rows or ()), default=0)
    longest = max((len(_cut(name)) for name in columns or ()), default=0)
    slanted = _LETTER * longest + 6 > width
    top = 0.0 if not columns else 14 + 0.7 * _LETTER * longest if slanted else 18.0
    height, parts = 22, []
    for i, name in enumerate(columns or ()):
        middle = left + (i + 0.5) * width
        place = f'x="{middle:.0f}" y="{top - 5:.0f}"'
        if slanted:
            turn = f"rotate(-42 {middle:.0f} {top - 5:.0f})"
            parts.append(_text(_cut(name), f'{place} transform="{turn}"'))
        else:
            parts.append(_text(_cut(name), f'{place} text-anchor="middle"'))
    for i, (row, own) in enumerate(zip(values, texts, strict=True)):
        y = top + i * height
        if rows:
            place = f'x="{left - 6:.0f}" y="{y + 15:.0f}" text-anchor="end"'
            parts.append(_text(_cut(rows[i]), place))
        for j, (value, text) in enumerate(zip(row, own, strict=True)):
            share = (abs(value) if signed else value - low) / (high - low) if high > low else 0.0
            share = min(max(share, 0.0), 1.0) if math.isfinite(value) else 0.0
            names = [name[k] for name, k in ((rows, i), (columns, j)) if name]
            parts.append(_cell(left + j * width, y, width, height, share, value < 0, text, names))
    # Slanted names of the last columns reach beyond their cells.
    beyond = 0.75 * _LETTER * longest if slanted else 4
    size = (left + width * len(values[0]) + beyond, top + height * len(values) + 2)
    return _figure(title, Markup(), _svg(*size, title, parts, kind="map"))


def bars(
    values: Mapping[str, float], *, title: str, shown: Callable[[float], str] = number
) -> Markup:
    """Return horizontal bars; negative numbers are orange and point to the left.

    Args:
        values: Name to number.
        title: The title above the chart.
        shown: The text of a number.
    """
    finite = [value for value in values.values() if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    left = 10 + _LETTER * max((len(_cut(name)) for name in values), default=0)
    room = 8 + _LETTER * max((len(shown(value)) for value in values.values()), default=0)
    start = left + (room if low < 0 else 0)
    scale = _Scale(low, high if high > low else low + 1, start, _WIDTH - room)
    parts = []
    for i, (name, value) in enumerate(values.items()):
        y = 22 * i
        parts.append(_text(_cut(name), f'x="{left - 6:.0f}" y="{y + 15}" text-anchor="end"'))
        if not math.isfinite(value):
            parts.append(_text("–", f'x="{scale(0) + 4:.1f}" y="{y + 15}"'))
            continue
        first, last = sorted((scale(0), scale(value)))
        parts.append(
            Markup(
                '<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="16">'
                "<title>{}: {}</title></rect>"
            ).format(
                "minus" if value < 0 else "plus", first, y + 3, last - first, name, shown(value)
            )
        )
        place = f'x="{first - 4:.1f}" text-anchor="end"' if value < 0 else f'x="{last + 4:.1f}"'
        parts.append(_text(shown(value), f'{place} y="{y + 15}"'))
    return _figure(title, Markup(), _svg(_WIDTH, 22 * max(len(values), 1), title, parts))


def reliability(bins: Sequence[tuple[float, float, int, float, float]], *, title: str) -> Markup:
    """Return a reliability diagram: the share of right answers by confidence.

    The dashed diagonal is perfect calibration, dots are the mean confidences of the bins, and the
    bars below are numbers of answers.

    Args:
        bins: Low end, high end, number of answers, mean confidence and share of right answers.
        title: The title above the chart.
    """
    side, strip = 230, 40
    across = _Scale(0, 1, _LEFT, _LEFT + side)
    up = _Scale(0, 1, _TOP + side, _TOP)
    most = max((own[2] for own in bins), default=0)
    base = _TOP + side + 34 + strip
    parts = [_axes(across, up, "confidence", "right")]
    for low, high, count, confidence, accuracy in bins:
        if not count:
            continue
        x, width = across(low) + 0.5, across(high) - across(low) - 1
        text = f"{low:.2f}–{high:.2f}: {count:,} answers, {accuracy:.3f} right, "
        text += f"mean confidence {confidence:.3f}"
        size = max(1.0, strip * count / most)
        parts.append(
            Markup(
                '<g><title>{}</title><rect class="plus" fill-opacity=".55" x="{:.1f}" y="{:.1f}" '
                'width="{:.1f}" height="{:.1f}"/><circle class="point c1" cx="{:.1f}" cy="{:.1f}" '
                'r="2.5"/><rect class="plus" x="{:.1f}" y="{:.1f}" width="{:.1f}" '
                'height="{:.1f}"/></g>'
            ).format(
                *(text, x, up(accuracy), width, up(0) - up(accuracy)),
                *(across(confidence), up(accuracy)),
                *(x, base - size, width, size),
            )
        )
    ends = (across(0), up(0), across(1), up(1))
    diagonal = '<line class="ideal" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'
    parts.append(Markup(diagonal).format(*ends))
    parts.append(_text("answers", f'class="faint" x="{_LEFT - 6}" y="{base}" text-anchor="end"'))
    return _figure(title, Markup(), _svg(_LEFT + side + 12, base + 4, title, parts))


def _range(values: Sequence[float], margin: float = 0.0) -> tuple[float, float]:
    """Return the ends of an axis, which are never equal."""
    low, high = min(values), max(values)
    if low == high:
        half = abs(low) / 2
        return (low - half, high + half) if half else (0.0, 1.0)
    return low - margin * (high - low), high + margin * (high - low)


def _thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Return at most this many of the points, evenly spaced, with the first and the last."""
    if len(points) <= most:
        return list(points)
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def _line(line: Line, across: _Scale, up: _Scale, x: str) -> Markup:
    points = _thinned(line.points, _POINTS)
    path, pen = "", "M"
    for at, value in points:
        if not math.isfinite(value):
            pen = "M"
            continue
        path += f"{pen}{across(at):.1f} {up(value):.1f}"
        pen = "L"
    kind = "point" if len(points) <= _TITLES else "point hover"
    found = Markup('<g class="c{}"><path class="line" d="{}"').format(line.colour % COLOURS, path)
    if dashes := _DASHES[line.dashes % len(_DASHES)]:
        found += Markup(' stroke-dasharray="{}"').format(dashes)
    found += Markup("/>")
    for at, value in _thinned(points, _TITLES):
        if math.isfinite(value):
            found += Markup(
                '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2"><title>{}: {} ({} {})</title>'
                "</circle>"
            ).format(kind, across(at), up(value), line.name, number(value), x, number(at))
    return found + Markup("</g>")


def _entry(line: Line) -> Markup:
    dashes = _DASHES[line.dashes % len(_DASHES)]
    return Markup(
        '<li><svg class="c{}" viewBox="0 0 24 8" aria-hidden="true"><path class="line" '
        'd="M0 4L24 4" stroke-dasharray="{}"/></svg>{}</li>'
    ).format(line.colour % COLOURS, dashes or "none", line.name)


def _axes(across: _Scale, up: _Scale, x: str, y: str) -> Markup:
    parts = [Markup('<g class="axis">')]
    for tick in ticks(up.low, up.high):
        at = up(tick)
        parts.append(
            Markup('<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
                across.start, at, across.end
            )
        )
        place = f'x="{across.start - 6:.1f}" y="{at + 4:.1f}" text-anchor="end"'
        parts.append(_text(_tick(tick), place))
    for tick in ticks(across.low, across.high):
        place = f'x="{across(tick):.1f}" y="{up.start + 15:.1f}" text-anchor="middle"'
        parts.append(_text(_tick(tick), place))
    middle = (across.start + across.end) / 2
    place = f'x="{middle:.1f}" y="{up.start + 29:.1f}" text-anchor="middle"'
    parts.append(_text(x, place))
    middle = (up.start + up.end) / 2
    place = f'x="0" y="0" transform="translate(10 {middle:.1f}) rotate(-90)" text-anchor="middle"'
    parts.append(_text(y, place))
    return Markup().join([*parts, Markup("</g>")])


def _tick(value: float) -> str:
    return f"{value:z,.10g}"


def _cell(
    x: float,
    y: float,
    width: float,
    height: float,
    share: float,
    negative: bool,
    text: str,
    names: Sequence[str],
) -> Markup:
    """Return a cell of a heat map."""
    if not text and not share:
        return Markup()
    title = Markup("<title>{}: {}</title>").format(" / ".join(names), text) if names else Markup()
    rect = Markup(
        '<rect class="{}" style="--s:{:.2f}" x="{:.0f}" y="{:.0f}" width="{:.0f}" height="{:.0f}"/>'
    ).format("minus" if negative else "plus", share, x, y, width - 1, height - 1)
    place = f'x="{x + width / 2:.0f}" y="{y + 15:.0f}" text-anchor="middle"'
    return Markup("<g>{}{}{}</g>").format(title, rect, _text(text, place))


def _text(text: str, attributes: str) -> Markup:
    """Return text; the attributes are written by this module and are not escaped."""
    return Markup("<text {}>{}</text>").format(Markup(attributes), text) if text else Markup()


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _svg(
    width: float, height: float, title: str, parts: Sequence[Markup], kind: str = "chart"
) -> Markup:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}"'
    if kind == "map":
        size += f' width="{width:.0f}" height="{height:.0f}"'
    elif width < _WIDTH:
        size += f' style="max-width:{width:.0f}px"'
    return Markup('<svg class="{}" {} role="img" aria-label="{}">{}</svg>').format(
        kind, Markup(size), title, Markup().join(parts)
    )


def _figure(title: str, legend: Markup, picture: Markup) -> Markup:
    caption = Markup("<figcaption>{}</figcaption>").format(escape(title)) if title else Markup()
    return Markup("<figure>{}{}{}</figure>").format(caption, legend, picture)
