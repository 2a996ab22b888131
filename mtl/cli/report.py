"""`mtl report`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mtl.cli.arguments import DeviceOption, TaskOption, TrustOption, check_page, refuse_idle
from mtl.cli.ensemble import score_rows
from mtl.cli.tables import plain_console, print_rows
from mtl.errors import MtlError, did_you_mean

if TYPE_CHECKING:
    from mtl.metrics import Unit
    from mtl.metrics.significance import SignificanceResult
    from mtl.runs.history import History


def report(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="DIR", help="Folders of runs (one or several seeds) or ensembles."),
    ] = None,
    output_format: Annotated[
        Literal["text", "markdown", "json"], typer.Option("--format", help="The format.")
    ] = "text",
    test: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="A B", help="Run folders of two models to compare by a significance test."
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a page with curves, learned values and errors, in place of the text. A "
            "browser shows it without a network.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="The split of the predictions: train, dev or test. Default with --test: test; "
            "with --html: dev."
        ),
    ] = None,
    errors: Annotated[
        int,
        typer.Option(min=0, help="With --html: largest number of wrong answers per run and task."),
    ] = 100,
    task: TaskOption = None,
    draws: Annotated[
        int, typer.Option(min=1, max=10**7, help="With --test: the number of random exchanges.")
    ] = 10_000,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="With --test: the seed of the exchanges.")
    ] = 1,
    device: DeviceOption = None,
    trust: TrustOption = False,
    *,
    context: typer.Context,
) -> None:
    """Show and compare the scores and learned values of runs.

    For one run: the best epoch, the dev scores, their curves over the epochs, and the learned
    values of the sharing. For several runs: the dev scores side by side. With --test, a permutation
    test exchanges the predictions of two models at random, and estimates how often their scores
    would differ as much if both models were equally good. With --html, a page shows the runs in
    detail; its predictions need the data of the runs.
    """
    refuse_idle(context, ("draws", "seed"), "test", test is not None)
    refuse_idle(context, ("errors",), "html", html is not None)
    if html is None:
        refuse_idle(context, ("split", "device"), "test or --html", test is not None)
    else:
        check_page(html)
        if test is not None or output_format != "text":
            other = "--format" if test is None else "--test"
            raise typer.BadParameter("cannot be combined with --html", param_hint=other)
    from mtl.display.reading import show_import
    from mtl.runs.history import read_history

    shown = list(dict.fromkeys([*(folders or []), *(test or [])]))
    if not shown:
        raise typer.BadParameter("expected at least one run folder", param_hint="DIR")
    on_import = show_import if trust else None
    runs = [read_history(folder, on_import) for folder in shown]
    tasks = _tasks(runs, task)
    if html is not None:
        _write_page(html, shown, tasks, split or "dev", errors, device, trust)
        return
    split = split or "test"
    found = _compare(*test, split, task, draws, seed, device, trust) if test else {}
    if output_format == "json":
        results = {name: own.to_json() for name, own in found.items()}
        records = {str(run.folder): _json(run, tasks) for run in runs}
        typer.echo(json.dumps({"runs": records, "test": results}, indent=1))
        return
    if output_format == "text" and len(runs) == len(runs[0].seeds) == 1:
        if runs[0].ensemble:
            title = f"{runs[0].folder}: dev scores of {len(runs[0].ensemble['members'])} members"
            print_rows(title, *score_rows(runs[0].ensemble, tasks, runs[0].units))
        else:
            _tell(runs[0], tasks)
    else:
        rows = list(_side_by_side(runs, tasks))
        header = ["task", "score", *_short(shown)]
        print_rows("dev, best epochs", header, rows, output_format, left=2)
    if test:
        title = f"{split}, {draws:,} random exchanges of the labels of sentences"
        header = ["task", "score", *_short(test), "p", "sentences", "labelled differently"]
        units = {name: unit for run in runs for name, unit in run.units.items()}
        tested = [_row(name, result, units[name]) for name, result in found.items()]
        print_rows(title, header, tested, output_format, left=2)


def _write_page(
    path: Path,
    folders: Sequence[Path],
    tasks: Sequence[str],
    split: str,
    errors: int,
    device: str | None,
    trust: bool,
) -> None:
    from mtl.analysis.report.page import report_page
    from mtl.display.reading import show_import
    from mtl.files import atomic_write

    on_import = show_import if trust else None
    page = report_page(
        folders,
        _short(folders),
        tasks,
        split=split,
        errors=errors,
        device=device,
        on_import=on_import,
    )
    with atomic_write(path) as file:
        file.write(page.text)
    for note in page.notes:
        typer.echo(note, err=True)
    typer.echo(f"{path}: {len(page.text.encode()) / 1000:,.0f} kB")


def _tasks(runs: Sequence[History], wanted: list[str] | None) -> list[str]:
    """Return the tasks to show.

    Raises:
        MtlError: A run lacks a named task, or shares no task with the other runs.
    """
    for run in runs:
        for task in wanted or ():
            if task not in run.tasks:
                near = did_you_mean(task, run.tasks)
                raise MtlError(f"{run.folder}: the run has no task {task!r}{near}")
        others = {task for other in runs if other is not run for task in other.tasks}
        if others and others.isdisjoint(run.tasks):
            raise MtlError(f"{run.folder}: the run has no task in common with the others")
    every = dict.fromkeys(task for run in runs for task in run.tasks)
    return [task for task in every if not wanted or task in wanted]


def _short(folders: Sequence[Path]) -> list[str]:
    """Return short names of folders for columns: their last parts, if these are distinct."""
    names = [folder.name or folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _compare(
    first: Path,
    second: Path,
    split: str,
    tasks: list[str] | None,
    draws: int,
    seed: int,
    device: str | None,
    trust: bool,
) -> dict[str, SignificanceResult]:
    from mtl import api
    from mtl.analysis.comparison import compare

    models = [api.load(folder, device=device, trust=trust) for folder in (first, second)]
    return compare(models[0], models[1], split, tasks, draws=draws, seed=seed)


def _json(run: History, tasks: Sequence[str]) -> dict[str, Any]:
    from mtl.runs.history import spread_to_json

    dev = {task: scores for task, scores in run.dev().items() if task in tasks}
    if run.ensemble:
        return {"members": run.ensemble["members"], "dev": spread_to_json(dev)}
    return {
        "epochs": [len(epochs) for epochs in run.seeds],
        "best_epochs": run.best_epochs,
        "dev": spread_to_json(dev),
        "learnt": [epoch.get("learnt", {}) for epoch in run.best],
    }


def _side_by_side(runs: Sequence[History], tasks: Sequence[str]) -> list[list[str | None]]:
    """Return the rows of a table with one column per run."""
    dev = [run.dev() for run in runs]
    rows: list[list[str | None]] = []
    for task in tasks:
        for name in dict.fromkeys(name for own in dev for name in own.get(task, ())):
            found = [own.get(task, {}).get(name) for own in dev]
            rows.append(
                [
                    task,
                    name,
                    *(
                        None if s is None else s.shown(run.units[task])
                        for s, run in zip(found, runs, strict=True)
                    ),
                ]
            )
    best = [", ".join(map(str, run.best_epochs)) or None for run in runs]
    return [*rows, ["", "best epoch", *best]]


def _row(task: str, found: SignificanceResult, unit: Unit) -> list[str]:
    from mtl.metrics import shown

    scores = [shown(score, unit) for score in (found.first, found.second)]
    counts = [f"{count:,}" for count in (found.sentences, found.different)]
    p = "–" if math.isnan(found.p) else f"{found.p:.4f}"
    return [task, found.score, *scores, p, *counts]


def _tell(run: History, tasks: Sequence[str]) -> None:
    """Print the report of one run."""
    from mtl.cli.drawing import curve, draw_learnt
    from mtl.metrics import shown

    epochs, (best,) = run.seeds[0], run.best
    console = plain_console()
    seconds = sum(epoch["seconds"] for epoch in epochs)
    numbers = f"best epoch {best['epoch'] + 1} of {len(epochs)}, {seconds:,.1f} s of training"
    rows = []
    for task in tasks:
        scores: Mapping[str, float] = best["dev"].get(task, {})
        own = next(iter(scores), None)
        rows.append(
            [
                task,
                "\n".join(f"{n} {shown(score, run.units[task])}" for n, score in scores.items())
                or None,
                curve([epoch["dev"][task][own] for epoch in epochs]) if own else "–",
                curve([epoch["losses"].get(task, float("nan")) for epoch in epochs]),
            ]
        )
    header = ["task", "dev, best epoch", "by epoch", "training loss"]
    print_rows(f"{run.folder}: {numbers}", header, rows, left=4, keys=1)
    draw_learnt(console, epochs)
