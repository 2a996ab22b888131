"""`mtl distil`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from mtl.cli.arguments import OutputOption, ResumeOption, TrustOption
from mtl.cli.tables import print_rows

if TYPE_CHECKING:
    from mtl.trained_model import TrainedModel


def distil(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="TEACHER... STUDENT [KEY=VALUE]...",
            help="The run folders of the teachers, then the run file of the student, then "
            "overrides of its keys, such as distillation.temperature=4.",
        ),
    ],
    text: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file of unlabelled text, CoNLL, JSONL, CSV or TSV, plain or .gz; repeat the "
            "option for several."
        ),
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK=DIR:TASK",
            help="A teacher whose task has another name; repeat it for several. TASK=: no "
            "teacher for this task. Default: all teachers with a task of the same name.",
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="The student trained without teachers, for the table at the end."),
    ] = None,
    output: OutputOption = None,
    resume: ResumeOption = False,
    trust: TrustOption = False,
) -> None:
    """Train a small model on the outputs of larger ones.

    Each task of the student learns from its gold labels and from the teachers that have a task with
    the same name. The teachers label the training text of the student and the files of --text once;
    the outputs are cached. To see the losses and other options, use mtl explain distillation.

    The result is an ordinary run folder. At the end, a table compares dev scores and speed.
    """
    from mtl import api
    from mtl.training.processes import current

    files = [argument for argument in arguments if "=" not in argument]
    if len(files) < 2:
        raise typer.BadParameter(
            "expected one teacher or more and then the run file of the student",
            param_hint="TEACHER... STUDENT",
        )
    *teachers, student = files
    # Read first: a damaged folder must not be an error after hours of training.
    scratch = api.load(baseline, trust=trust) if baseline else None
    trained = api.distil(
        teachers,
        student,
        [argument for argument in arguments if "=" in argument],
        text=text or (),
        match=_matches(match or ()),
        output=output,
        resume=resume,
        trust=trust,
    )
    if not current().main:
        return
    for model in trained.models:
        _print_comparison(model, scratch, trust)
        typer.echo(f"model: {model.folder}")
    typer.echo(f"next:  mtl evaluate {quote(str(trained.models[0].folder))} --split dev")


def _matches(written: Sequence[str]) -> dict[str, list[str]]:
    """Return task to its teachers from `TASK=DIR:TASK`."""
    matches: dict[str, list[str]] = {}
    for text in written:
        task, equals, place = text.partition("=")
        if not (task and equals):
            message = f"expected TASK=DIR:TASK, got {text!r}"
            raise typer.BadParameter(message, param_hint="--match")
        matches.setdefault(task, []).extend([place] if place else [])
    return matches


def _print_comparison(student: TrainedModel, scratch: TrainedModel | None, trust: bool) -> None:
    from mtl.analysis.distilled import compare
    from mtl.display.tables import Cells

    measured = compare(student, scratch, trust=trust)
    tasks = list(dict.fromkeys(task for row in measured for task in row.scores))
    rows: list[Cells] = [
        [
            row.role,
            *(row.scores.get(task) for task in tasks),
            f"{row.speed:,.0f}" if row.speed else None,
        ]
        for row in measured
    ]
    print_rows("dev", ["model", *tasks, "tokens/s"], rows)
