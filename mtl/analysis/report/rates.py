"""The table and the page of `mtl lr`."""

from __future__ import annotations

import math

from mtl.analysis.rate_test import RateTest
from mtl.analysis.report.records import Section
from mtl.pages import charts, parts, render

_ROWS = 20
"""The most rows of the table."""
_WIDTH = 32
"""The number of characters of the longest bar."""
HEADER = ("learning rate", "loss", "")


def rate_rows(found: RateTest) -> list[list[str]]:
    """Return rows with a learning rate, the smoothed relative loss there, and a bar.

    The lowest loss has no bar. The first losses, and larger ones, have a bar of full length.
    """
    every = -(-len(found.rates) // _ROWS)
    pairs = list(zip(found.rates, found.smoothed, strict=True))[::every]
    low = min(found.smoothed)
    scale = max(1e-3, 1 - low)  # the relative loss of the first steps is about 1
    return [
        [f"{rate:.1e}", f"{loss:.3f}", "█" * round(_WIDTH * min(1.0, (loss - low) / scale))]
        for rate, loss in pairs
    ]


def verdict(found: RateTest) -> str:
    """Return a sentence about the suggested rate."""
    if found.suggested is None:
        return "the loss did not fall at any rate; test more steps, or check the labels"
    return (
        f"the loss is lowest at {found.lowest:.2g}; suggested, a tenth of it: "
        f"training.optimizer.lr={found.suggested:.2g}"
    )


def rates_page(found: RateTest, title: str) -> str:
    """Return a page with a chart of the losses by learning rate.

    Args:
        found: The test.
        title: The title of the page.
    """
    powers = [math.log10(rate) for rate in found.rates]
    # Losses after divergence would flatten the rest of the chart.
    top = 1.5 * max(1.0, min(found.smoothed))
    series = [
        charts.Line(name, [(x, min(y, top)) for x, y in zip(powers, values, strict=True)], number)
        for number, (name, values) in enumerate(
            [("smoothed", found.smoothed), ("each step", found.losses)]
        )
    ]
    chart = charts.lines(
        series,
        title="Loss relative to the first steps, by the logarithm (base 10) of the learning rate",
        x="log10 of the learning rate",
        y="relative loss",
    )
    rows = [row[:2] for row in rate_rows(found)]
    table = parts.folded("Numbers", parts.table(HEADER[:2], rows, left=0))
    section = Section("rates", "Learning rates", [parts.note(verdict(found)), chart, table])
    return render("report.html", title=title, sections=[section])
