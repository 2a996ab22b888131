"""`mtl relate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtl.cli.arguments import OverrideArguments, RunFileArgument, TrustOption
from mtl.cli.tables import print_rows

if TYPE_CHECKING:
    from mtl.analysis.relations import Relations


def relate(
    run: RunFileArgument,
    overrides: OverrideArguments = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="The output folder; default: runs/NAME-relations for the run file NAME.yaml."
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs of each training.")] = 3,
    limit: Annotated[
        int, typer.Option(min=1, help="Maximum number of training sentences per corpus.")
    ] = 500,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds per training.")] = 3,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a stopped command, or start.")
    ] = False,
    trust: TrustOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure which tasks of a run help each other.

    Trains each task alone and each pair of tasks, on little data for a few epochs. Prints the gain
    in the best dev score of each task from each other task, with a 95 % confidence interval, and
    properties of the tasks that may predict the gain.
    """
    from mtl.analysis.relations import relate

    found = relate(
        run,
        overrides or [],
        output=output or Path("runs") / f"{run.stem}-relations",
        epochs=epochs,
        limit=limit,
        seeds=seeds,
        resume=resume,
        trust=trust,
    )
    if as_json:
        typer.echo(json.dumps(_json(found), indent=1))
        return
    _print(found)


def _print(found: Relations) -> None:
    from mtl.analysis.relations import SLOPES
    from mtl.metrics import shown

    tasks = list(found.traits)
    rows = []
    for main, score in found.scores.items():
        unit = found.units[main]
        row = [main, score, found.alone[main].shown(unit)]
        for other in tasks:
            gain = found.gains.get((main, other))
            margin = "" if gain is None or gain.margin is None else shown(gain.margin, unit)
            mean = "" if gain is None else shown(gain.mean, unit, sign=True)
            row.append(f"{mean} ± {margin}" if margin else mean or "–")
        rows.append(row)
    print_rows(
        "dev: a task alone, mean ± standard deviation; gains by a second one, mean ± 95 % interval",
        ["task", "score", "alone", *(f"+ {task}" for task in tasks)],
        rows,
        left=2,
    )
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
    print_rows("the tasks", ["", *tasks], rows)


def _json(found: Relations) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "scores": dict(found.scores),
        "alone": {task: own.to_json() for task, own in found.alone.items()},
        "gains": {
            main: {
                other: {**gain.to_json(), "margin": gain.margin}
                for (one, other), gain in found.gains.items()
                if one == main
            }
            for main in found.scores
        },
        "tasks": {task: asdict(own) for task, own in found.traits.items()},
    }
