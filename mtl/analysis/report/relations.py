"""The tables and the page of `mtl relate`."""

from __future__ import annotations

from mtl.analysis.relations import SLOPES, Relations
from mtl.analysis.report.records import Section
from mtl.metrics import shown
from mtl.pages import charts, parts, render

GAINS = "dev: a task alone, mean ± standard deviation; gains by a second one, mean ± 95 % interval"
"""The title of the table of gains."""


def gain_table(found: Relations) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of gains, with one row per main task."""
    tasks = list(found.traits)
    rows = []
    for main, score in found.scores.items():
        row = [main, score, found.alone[main].shown(found.units[main])]
        rows.append(row + [_gain(found, main, other) or "–" for other in tasks])
    return ["task", "score", "alone", *(f"+ {task}" for task in tasks)], rows


def _gain(found: Relations, main: str, other: str) -> str:
    """Return the mean gain with half its interval; empty if there is none."""
    gain, unit = found.gains.get((main, other)), found.units[main]
    if gain is None:
        return ""
    mean = shown(gain.mean, unit, sign=True)
    return mean if gain.margin is None else f"{mean} ± {shown(gain.margin, unit)}"


def trait_table(found: Relations) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of tasks, with one column per task."""
    traits = found.traits.values()
    rows = [
        ["training sentences", *(f"{own.sentences:,}" for own in traits)],
        ["different labels", *(f"{own.labels:,}" for own in traits)],
        ["entropy of the labels, bits", *(f"{own.entropy:.2f}" for own in traits)],
        ["different words by words", *(f"{own.type_token_ratio:.3f}" for own in traits)],
        [
            "words of dev not in training, %",
            *("–" if own.unknown is None else f"{100 * own.unknown:.1f}" for own in traits),
        ],
        *(
            [
                f"slope of the loss at {100 * at:.0f} %",
                *(f"{own.slopes[at]:z.2f}" if own.slopes else "–" for own in traits),
            ]
            for at in SLOPES
        ),
    ]
    return ["", *found.traits], rows


def relations_page(found: Relations, title: str) -> str:
    """Return a page with the gains as a matrix, and the tables of gains and tasks.

    Args:
        found: The gains.
        title: The title of the page.
    """
    tasks = list(found.traits)
    mains = list(found.scores)
    # Shades are comparable among scores of the same unit alone.
    largest: dict[str, float] = {}
    for (main, _), gain in found.gains.items():
        unit = found.units[main]
        largest[unit] = max(largest.get(unit, 0.0), abs(gain.mean))

    def share(main: str, other: str) -> float:
        gain = found.gains.get((main, other))
        return float("nan") if gain is None else gain.mean / (largest[found.units[main]] or 1.0)

    values = [[share(main, other) for other in tasks] for main in mains]
    texts = [[_gain(found, main, other) for other in tasks] for main in mains]
    matrix = charts.heat_map(
        values,
        [f"{main}, {found.scores[main]}" for main in mains],
        [f"+ {task}" for task in tasks],
        title="Gain of the task of a row when it is trained with the task of a column",
        low=0.0,
        high=1.0,
        texts=texts,
    )
    header, rows = gain_table(found)
    gains = [matrix, parts.table(header, rows, caption=GAINS, left=2)]
    header, rows = trait_table(found)
    traits = [parts.table(header, rows, caption="Properties that may predict gains")]
    sections = [Section("gains", "Gains", gains), Section("tasks", "Tasks", traits)]
    return render("report.html", title=title, sections=sections)
