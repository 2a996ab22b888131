"""`mtl extend`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from mtl.cli.arguments import OutputOption, OverrideArguments, ResumeOption, TrustOption
from mtl.cli.tables import print_rows

if TYPE_CHECKING:
    from mtl.api import Extended, TrainedModel


def extend(
    old: Annotated[Path, typer.Argument(metavar="DIR", help="The run folder of the old model.")],
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="A run file with the new tasks. Keys that it lacks have the values of the old "
            "run.",
        ),
    ],
    overrides: OverrideArguments = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file of unlabelled text, CoNLL, JSONL, CSV or TSV, plain or .gz, on which the "
            "old model teaches the old tasks; repeat the option for several."
        ),
    ] = None,
    output: OutputOption = None,
    resume: ResumeOption = False,
    trust: TrustOption = False,
) -> None:
    """Add tasks or labels to a trained model.

    The new model starts from all weights of the old one. The data of the old tasks is not needed:
    the old model teaches those that the run file lacks on the files of --text. A task with the same
    name in both runs learns from the new data alone, and keeps its old labels. With training.ewc,
    the weights of the trunk and the embedding also stay near their old values.

    The result is an ordinary run folder. At the end, a table compares both models in the old tasks:
    on the development sets of the old run if their files exist, else on held-out sentences of
    --text, with the predictions of the old model in place of gold labels.
    """
    from mtl import api
    from mtl.training.processes import current

    extended = api.extend(
        old, run, overrides or [], text=text or (), output=output, resume=resume, trust=trust
    )
    if not current().main:
        return
    for task, reason in extended.left_out.items():
        typer.echo(f"task {task}: not kept: {reason}")
    for model in extended.trained.models:
        _print_forgotten(extended, model)
        typer.echo(f"model: {model.folder}")
    folder = extended.trained.models[0].folder
    typer.echo(f"next:  mtl evaluate {quote(str(folder))} --split dev")


def _print_forgotten(extended: Extended, model: TrainedModel) -> None:
    from mtl.analysis.forgetting import forgotten
    from mtl.metrics import shown

    rows = [
        [
            row.task,
            "dev set" if row.gold else "predictions on text",
            row.metric,
            shown(row.before, row.unit),
            shown(row.after, row.unit),
        ]
        for row in forgotten(extended, model)
    ]
    header = ["old task", "compared with", "score", "before", "after"]
    print_rows("old tasks", header, rows, left=3)
