"""`mtl tune`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mtl.cli.arguments import OverrideArguments, RunFileArgument, TrustOption, finite
from mtl.cli.tables import print_rows

if TYPE_CHECKING:
    from mtl.tuning.results import TrialResult, Tuned

_SHOWN = 10
"""Number of trials in the table."""


def tune(
    run: RunFileArgument,
    overrides: OverrideArguments = None,
    trials: Annotated[
        int, typer.Option(min=1, help="The number of trials of the study, in all.")
    ] = 20,
    minutes: Annotated[
        float | None,
        typer.Option(
            callback=finite, help="Minutes after which no trial starts; default: no limit."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trials at a time.")] = 1,
    sampler: Annotated[
        Literal["tpe", "gp", "random"],
        typer.Option(
            help="How values are drawn: tree-structured Parzen estimators, a Gaussian process, or "
            "at random."
        ),
    ] = "tpe",
    prune: Annotated[
        Literal["median", "halving", "none"] | None,
        typer.Option(
            help="Stop trials with low dev scores: below the median of the others after the same "
            "epoch, or by successive halving. Default: median; none for several objectives."
        ),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="score: the dev score; also speed: tokens/s on the dev sets; size: bytes of the "
            "model. Repeat it for a Pareto front. Default: score.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the draws.")] = 1,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A SQL database that several machines share, such as "
            "postgresql://user@host/database. Default: a file in the folder.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The folder; by default runs/, the name of the run file and -tune."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue or join the study; start it if there is none."),
    ] = False,
    trust: TrustOption = False,
) -> None:
    """Search for the best values of a run file.

    Write a range in place of a value, in the run file or as a change to it:
    lr: {search: [1.0e-4, 1.0e-2], log: true} for numbers, or
    type: {search: {choices: [gru, lstm]}} for a list. Each trial trains the run with one value per
    range, in a run folder and a process of its own. Trials are compared by dev scores alone.

    Prints the best trials and the importance of each range. The file best.yaml has the best values,
    for mtl train. Ctrl-C stops the trials; the same command with --resume continues them.
    """
    from mtl.tuning import tune

    found = tune(
        run,
        overrides or [],
        trials=trials,
        minutes=minutes,
        jobs=jobs,
        sampler=sampler,
        pruning=prune,
        objectives=objective or ["score"],
        seed=seed,
        storage=storage,
        output=output,
        resume=resume,
        trust=trust,
    )
    _print(found)


def _print(found: Tuned) -> None:
    number = Counter(trial.state for trial in found.trials)
    counts = ", ".join(f"{number[own]} {words}" for own, words in _STATES.items() if number[own])
    if len(found.objectives) > 1:
        _print_trials(f"Pareto front of the trials ({counts})", found, found.front)
    else:
        _print_trials(f"best trials by dev score ({counts})", found, found.completed[:_SHOWN])
    if isinstance(found.importance, str):
        typer.echo(f"importance of the ranges: {found.importance}")
    else:
        rows = [[path, f"{share:.2f}"] for path, share in found.importance.items()]
        print_rows("importance of the ranges for the dev score", ["range", "share"], rows)
    for trial in found.trials:
        if trial.error:
            typer.echo(f"trial {trial.name} failed: {trial.error}")
    typer.echo(f"best:  {found.best_file} (trial {found.best.name}, by dev score)")
    typer.echo(f"model: {found.best.folder}")
    typer.echo(f"next:  mtl evaluate {quote(str(found.best.folder))} --split dev")


_STATES: Mapping[Literal["complete", "pruned", "failed", "running", "waiting"], str] = {
    "complete": "completed",
    "pruned": "stopped early",
    "failed": "failed",
    "running": "running elsewhere",
    "waiting": "waiting",
}
"""State of a trial to the words after its count."""


def _print_trials(title: str, found: Tuned, trials: list[TrialResult]) -> None:
    from mtl.tuning.results import short_names, shown_objective, shown_value

    units = {"score": "score", "speed": "tokens/s", "size": "kB"}
    ranges = list(trials[0].params)
    rows = [
        [
            str(trial.name),
            *(shown_objective(name, trial.values[name]) for name in found.objectives),
            str(trial.epoch),
            *(shown_value(trial.params[path]) for path in ranges),
        ]
        for trial in trials
    ]
    names = short_names(ranges).values()
    header = ["trial", *(units[name] for name in found.objectives), "best epoch", *names]
    print_rows(title, header, rows)
