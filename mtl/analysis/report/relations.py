"""The tables and the page of `mtl relate`."""

from __future__ import annotations

from markupsafe import Markup

from mtl.analysis.affinities import EXHAUSTIVE
from mtl.analysis.relations import SLOPES, Relations
from mtl.analysis.report.records import Section
from mtl.metrics import shown
from mtl.pages import charts, parts, render

GAINS = "dev: a task alone, mean ± standard deviation; gains by a second one, mean ± 95 % interval"
"""The title of the table of gains."""
AFFINITIES = {
    "gradients": "fall of a task's loss by a step of a second one, % of the loss, "
    "mean ± 95 % interval",
    "difficulty": "agreement of two tasks on the difficult sentences above chance, % of the "
    "sentences, mean ± 95 % interval",
}
"""The title of the table of affinities, by their kind."""
_MATRIX = {
    "gradients": "Fall of the loss of the task of a row by a step of the task of a column",
    "difficulty": "Agreement of two tasks on the difficult sentences",
}


def gain_table(found: Relations) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of gains, with one row per main task."""
    tasks = list(found.traits)
    rows = []
    for main, alone in found.alone.items():
        row = [main, found.scores[main], alone.shown(found.units[main])]
        rows.append(row + [_gain(found, main, other) or "–" for other in tasks])
    return ["task", "score", "alone", *(f"+ {task}" for task in tasks)], rows


def _gain(found: Relations, main: str, other: str) -> str:
    """Return the mean gain with half its interval; empty if there is none."""
    gain, unit = found.gains.get((main, other)), found.units[main]
    if gain is None:
        return ""
    mean = shown(gain.mean, unit, sign=True)
    return mean if gain.margin is None else f"{mean} ± {shown(gain.margin, unit)}"


def affinity_table(found: Relations) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of affinities, with one row per task."""
    tasks = list(dict.fromkeys(task for task, _ in found.affinities))
    rows = [[task, *(_affinity(found, task, other) or "–" for other in tasks)] for task in tasks]
    return ["task", *(f"+ {task}" for task in tasks)], rows


def _affinity(found: Relations, task: str, other: str) -> str:
    own = found.affinities.get((task, other))
    if own is None:
        return ""
    mean = f"{100 * own.mean:+z.4f}"
    return mean if own.margin is None else f"{mean} ± {100 * own.margin:.4f}"


def remarks(found: Relations) -> list[str]:
    """Return lines on the agreement of gains and affinities, and on groups."""
    lines = []
    if found.agreement is not None:
        lines.append(
            "gains and affinities prefer the same tasks: "
            f"Kendall's τ within tasks {found.agreement:+z.2f} (1: always, −1: never)"
        )
    if found.groups:
        groups = "; ".join(" + ".join(group) for group in found.groups)
        lines.append(f"groups to train together, by affinity: {groups}")
    for layer, groups_of_layer in enumerate(found.branches, 1):
        groups = "; ".join(" + ".join(group) for group in groups_of_layer)
        lines.append(f"branches of layer {layer}, by affinity: {groups}")
    if sum(map(len, found.groups)) > EXHAUSTIVE:
        lines.append(
            f"note: with more than {EXHAUSTIVE} tasks, groups are merged one by one, so others may "
            "be better"
        )
    return lines


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
    mains = list(found.alone)
    # Shades are comparable among scores of the same unit alone.
    largest: dict[str, float] = {}
    for (main, _), gain in found.gains.items():
        unit = found.units[main]
        largest[unit] = max(largest.get(unit, 0.0), abs(gain.mean))

    def share(main: str, other: str) -> float:
        gain = found.gains.get((main, other))
        return float("nan") if gain is None else gain.mean / (largest[found.units[main]] or 1.0)

    sections = []
    if mains:
        matrix = charts.heat_map(
            [[share(main, other) for other in tasks] for main in mains],
            [f"{main}, {found.scores[main]}" for main in mains],
            [f"+ {task}" for task in tasks],
            title="Gain of the task of a row when it is trained with the task of a column",
            low=0.0,
            high=1.0,
            texts=[[_gain(found, main, other) for other in tasks] for main in mains],
        )
        table = parts.table(*gain_table(found), caption=GAINS, left=2)
        sections.append(Section("gains", "Gains", [matrix, table]))
    if found.affinities:
        sections.append(Section("affinities", "Affinities", _affinities(found)))
    traits = parts.table(*trait_table(found), caption="Properties that may predict gains")
    sections.append(Section("tasks", "Tasks", [traits]))
    return render("report.html", title=title, sections=sections)


def _affinities(found: Relations) -> list[Markup]:
    """Return the matrix and the table of affinities, and the remarks."""
    tasks = list(dict.fromkeys(task for task, _ in found.affinities))
    largest = max(abs(own.mean) for own in found.affinities.values()) or 1.0
    means = {pair: own.mean / largest for pair, own in found.affinities.items()}
    matrix = charts.heat_map(
        [[means.get((task, other), float("nan")) for other in tasks] for task in tasks],
        tasks,
        [f"+ {task}" for task in tasks],
        title=_MATRIX[found.affinity],
        low=0.0,
        high=1.0,
        texts=[[_affinity(found, task, other) for other in tasks] for task in tasks],
    )
    table = parts.table(*affinity_table(found), caption=AFFINITIES[found.affinity])
    return [matrix, table, *map(parts.note, remarks(found))]
