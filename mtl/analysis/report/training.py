"""Sections on training: scores, curves, gradients, shares of tasks, learned values, settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import yaml
from markupsafe import Markup

from mtl.analysis.report.records import ReportedRun, Section
from mtl.data.mixing import MIXING
from mtl.metrics import shown
from mtl.pages import charts, parts

_LARGEST = 16
"""The largest number of rows or columns of a learned matrix that is drawn."""
_FRAMES = 12
"""The largest number of epochs whose matrices are drawn."""
_WINDOW = 50
"""The number of logged steps over which shares of tasks are counted."""


def scores(runs: Sequence[ReportedRun], tasks: Sequence[str]) -> Section:
    """Return the section of dev scores, with differences from the first run."""
    dev = [run.history.dev() for run in runs]
    rows: list[list[str | None]] = []
    for task in tasks:
        for name in dict.fromkeys(name for own in dev for name in own.get(task, ())):
            found = [own.get(task, {}).get(name) for own in dev]
            row: list[str | None] = [task, name]
            for number, (score, run) in enumerate(zip(found, runs, strict=True)):
                unit = run.history.units.get(task)
                if score is None or unit is None:
                    row.append(None)
                    continue
                text = score.shown(unit)
                first = found[0]
                if number and first is not None and math.isfinite(score.mean - first.mean):
                    text += f" ({shown(score.mean - first.mean, unit, sign=True)})"
                row.append(text)
            rows.append(row)
    best = [", ".join(map(str, run.history.best_epochs)) or None for run in runs]
    rows.append(["", "best epoch", *best])
    caption = "Dev scores in the best epochs"
    if any(len(run.history.seeds) > 1 for run in runs):
        caption += ", mean ± standard deviation over seeds"
    if len(runs) > 1:
        caption += "; in brackets: difference from the first run"
    header = ["task", "score", *(run.title for run in runs)]
    return Section(
        "scores", "Scores", [parts.table(header, rows, caption=caption, left=2), _speed(runs)]
    )


def _speed(runs: Sequence[ReportedRun]) -> Markup:
    rows = []
    for run in runs:
        for folder, epochs in zip(run.folders, run.epochs, strict=False):
            speeds: dict[str, list[float]] = {}
            for epoch in epochs:
                for task, speed in epoch["tokens_per_second"].items():
                    speeds.setdefault(task, []).append(speed)
            seconds = sum(epoch["seconds"] for epoch in epochs)
            name = f"{run.name}, {folder.name}" if len(run.epochs) > 1 else run.name
            rows += [
                [name, task, f"{fmean(own):,.0f}", len(epochs), f"{seconds:,.1f}"]
                for task, own in speeds.items()
            ]
    if not rows:
        return Markup()
    header = ["run", "task", "tokens per second", "epochs", "seconds of the run"]
    return parts.table(header, rows, caption="Speed of training, mean over the epochs", left=2)


def curves(runs: Sequence[ReportedRun], tasks: Sequence[str]) -> Section:
    """Return the section of losses and dev scores by epoch."""
    figures = []
    for task in tasks:
        figures.append(_by_epoch(runs, f"{task}: training loss", "nats", _loss_of(task)))
        names = dict.fromkeys(
            name for run in runs for own in run.epochs for name in own[-1]["dev"].get(task, ())
        )
        if main := next(iter(names), None):
            figures.append(_by_epoch(runs, f"{task}: dev {main}", main, _score_of(task, main)))
    return Section("curves", "Learning curves", _or_note(figures, "The runs have no epochs."))


def _loss_of(task: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda epoch: epoch["losses"].get(task)


def _score_of(task: str, name: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda epoch: epoch["dev"].get(task, {}).get(name)


def _by_epoch(
    runs: Sequence[ReportedRun],
    title: str,
    y: str,
    value: Callable[[Mapping[str, Any]], float | None],
) -> Markup:
    lines = [
        line
        for run in runs
        for line in run.lines([list(_points(own, value, epochs=True)) for own in run.epochs])
    ]
    return charts.lines(lines, title=title, x="epoch", y=y) if lines else Markup()


def _points(
    records: Sequence[Mapping[str, Any]],
    value: Callable[[Mapping[str, Any]], float | None],
    *,
    epochs: bool = False,
) -> Iterator[tuple[float, float]]:
    for record in records:
        found = value(record)
        if found is not None:
            yield (record["epoch"] + 1 if epochs else record["step"], found)


def steps(runs: Sequence[ReportedRun], tasks: Sequence[str]) -> Section:
    """Return the section of learning rates, gradients, weights of tasks, and their shares."""
    figures = [
        _by_step(runs, "learning rate", "", lambda step: step["lr"]),
        _by_step(runs, "norm of the gradient, before clipping", "", lambda s: s["grad_norm"]),
    ]
    for task in tasks:
        figures.append(_by_step(runs, f"{task}: norm of its gradient", "", _norm_of(task)))
    for one in tasks:
        for other in tasks:
            title = f"cosine of the gradients of {one} and {other}"
            figures.append(_by_step(runs, title, "", _cosine_of(one, other)))
    notes = []
    if not any(step["gradients"] for run in runs for own in run.steps for step in own):
        notes.append(
            parts.note(
                "No gradients per task: they are logged every 100th step "
                "(training.log_gradients), if tasks that share parameters are trained in the same "
                "step."
            )
        )
    weights = [
        run
        for run in runs
        if len({weight for own in run.steps for step in own for weight in step["weights"].values()})
        > 1
    ]
    if len(weights) < len(runs):
        same = ", ".join(run.name for run in runs if run not in weights and run.steps)
        notes += [parts.note(f"All tasks have the same constant weight: {same}.")] if same else []
    for task in tasks:
        figures.append(_by_step(weights, f"{task}: weight of its loss", "", _weight_of(task)))
    return Section(
        "steps",
        "Steps",
        [*_or_note(figures, "The runs have no steps."), *notes, *_shares(runs, tasks)],
    )


def _norm_of(task: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda step: (step["gradients"] or {}).get("norms", {}).get(task)


def _cosine_of(one: str, other: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda step: (step["gradients"] or {}).get("cosines", {}).get(one, {}).get(other)


def _weight_of(task: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda step: step["weights"].get(task)


def _by_step(
    runs: Sequence[ReportedRun],
    title: str,
    y: str,
    value: Callable[[Mapping[str, Any]], float | None],
) -> Markup:
    lines = [
        line for run in runs for line in run.lines([list(_points(s, value)) for s in run.steps])
    ]
    return charts.lines(lines, title=title, x="step", y=y) if lines else Markup()


def _shares(runs: Sequence[ReportedRun], tasks: Sequence[str]) -> list[Markup]:
    """Return the shares of the logged steps in which each task was trained."""
    figures, found = [], []
    for run in runs:
        mixing = run.settings.get("training", {}).get("mixing", {})
        kind = str(mixing.get("type") if isinstance(mixing, dict) else mixing)
        # Every 20th step is logged. A mixing of the user's own counts as random.
        if kind in MIXING and MIXING.find(kind).fixed_order:
            text = f"{run.name}: no shares of tasks, since the mixing {kind} has a fixed order."
            found.append(parts.note(text))
            continue
        if not run.steps:
            continue
        lines = [
            charts.Line(task, _running(run.steps[0], task), number)
            for number, task in enumerate(tasks)
            if any(task in step["losses"] for step in run.steps[0])
        ]
        title = f"{run.name}: share of the last {_WINDOW} logged steps"
        figures.append(charts.lines(lines, title=title, x="step", y="share"))
    if figures:
        text = "Every 20th step is logged, so these shares are estimates."
        found += [parts.grid(figures), parts.note(text)]
    return [parts.heading("Shares of tasks"), *found] if found else []


def _running(steps: Sequence[Mapping[str, Any]], task: str) -> list[tuple[float, float]]:
    """Return the share of the last logged steps that train a task, from the tenth one."""
    trained = [task in step["losses"] for step in steps]
    return [
        (steps[i]["step"], fmean(trained[max(0, i + 1 - _WINDOW) : i + 1]))
        for i in range(9, len(steps))
    ]


def learned(runs: Sequence[ReportedRun]) -> Section:
    """Return the section of the values that the sharing and the weighting have learned."""
    found: list[Markup] = []
    for run in runs:
        first = run.epochs[0] if run.epochs else ()
        recorded = [epoch for epoch in first if epoch.get("learnt")]
        if recorded:
            name = f"{run.name}, {run.folders[0].name}" if len(run.epochs) > 1 else run.name
            found += [parts.heading(name), *_quantities(recorded)]
    if not found:
        found = [parts.note("No run has learned values, such as matrices of a sharing.")]
    return Section("learned", "Learned values", found)


def _quantities(recorded: Sequence[Mapping[str, Any]]) -> Iterator[Markup]:
    """Yield the learned values of a run: lines of scalars and vectors, heat maps of matrices."""
    scalars: list[charts.Line] = []
    figures, matrices = [], []
    for name, last in recorded[-1]["learnt"].items():
        values = [(epoch["epoch"] + 1, epoch["learnt"][name]) for epoch in recorded]
        axes = recorded[-1].get("axes", {}).get(name, [])
        if not isinstance(last, list):
            scalars.append(charts.Line(name, values, len(scalars)))
        elif not isinstance(last[0], list):
            names = axes[0] if axes else [str(i) for i in range(len(last))]
            if len(last) > _LARGEST:
                yield parts.note(f"{name}: {len(last)} values, too many to draw.")
                continue
            lines = [
                charts.Line(own, [(at, vector[i]) for at, vector in values], i)
                for i, own in enumerate(names)
            ]
            figures.append(charts.lines(lines, title=name, x="epoch"))
        elif isinstance(last[0][0], list) or max(len(last), len(last[0])) > _LARGEST:
            size = f"{len(last)} × {len(last[0])}"
            yield parts.note(f"{name}: {size}, too large to draw; see TensorBoard.")
        else:
            matrices.append(_matrices(name, values, axes))
    if scalars:
        figures.insert(0, charts.lines(scalars, title="learned numbers", x="epoch"))
    if figures:
        yield parts.grid(figures)
    if matrices:
        yield parts.grid(matrices)


def _matrices(
    name: str, values: Sequence[tuple[int, list[list[float]]]], axes: Sequence[Sequence[str]]
) -> Markup:
    """Return heat maps of a matrix with a slider for the epoch, and a common scale."""
    number = min(len(values), _FRAMES)
    places = [round(i * (len(values) - 1) / max(number - 1, 1)) for i in range(number)]
    everything = [v for _, matrix in values for row in matrix for v in row if math.isfinite(v)]
    rows, columns = axes if len(axes) == 2 else (None, None)
    high = max(map(abs, everything), default=1.0)
    low = min(0.0, *everything) if everything else 0.0
    pictures = []
    for place in places:
        epoch, matrix = values[place]
        texts = [[f"{value:z.3f}" for value in row] for row in matrix]
        picture = charts.heat_map(
            matrix, rows, columns, title=name, low=low, high=high, texts=texts
        )
        pictures.append((f"epoch {epoch}", picture))
    return parts.frames(pictures, "epoch")


def settings(runs: Sequence[ReportedRun]) -> Section:
    """Return the section of the run files, with the keys that differ between the runs."""
    flat = [dict(_flat(run.settings)) for run in runs]
    keys = dict.fromkeys(key for own in flat for key in own)
    different = [
        [key, *(own.get(key) for own in flat)]
        for key in keys
        if len({own.get(key) for own in flat}) > 1
    ]
    found: list[Markup] = []
    if len(runs) > 1:
        header = ["key", *(run.name for run in runs)]
        caption = "Keys with different values; – means that a run file does not have the key"
        if different:
            found.append(parts.table(header, different, caption=caption, left=len(header)))
        else:
            found.append(parts.note("The run files are equal."))
    for run in runs:
        text = yaml.safe_dump(dict(run.settings), sort_keys=False, allow_unicode=True)
        found.append(parts.folded(f"run file of {run.name}", text))
    return Section("configuration", "Configuration", found)


def _flat(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the keys of nested mappings with dots, and their values as text."""
    if isinstance(value, dict) and value:
        for key, own in value.items():
            yield from _flat(own, f"{path}.{key}" if path else str(key))
    else:
        text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
        yield path, text.removesuffix("\n").removesuffix("\n...")


def _or_note(figures: Sequence[Markup], text: str) -> list[Markup]:
    """Return the figures that are not empty side by side, or a note if there are none."""
    drawn = [figure for figure in figures if figure]
    return [parts.grid(drawn) if drawn else parts.note(text)]
