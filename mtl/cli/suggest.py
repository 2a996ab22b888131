"""`mtl suggest`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mtl.cli.arguments import DeviceOption, RunFolderArgument, TaskOption, TrustOption
from mtl.cli.tables import print_rows

if TYPE_CHECKING:
    from mtl.analysis.suggest.suggest import Suggestion
    from mtl.inference.inputs import Sentence

SHOWN = 10
"""The number of sentences that are printed."""
_WIDTH = 70
"""The number of characters of a printed sentence."""


def suggest(
    folder: RunFolderArgument,
    text: Annotated[
        list[Path],
        typer.Argument(metavar="TEXT...", help="Files of unlabelled text."),
    ],
    number: Annotated[int, typer.Option(min=1, help="Number of sentences to choose.")] = 100,
    task: TaskOption = None,
    uncertainty: Annotated[
        Literal["entropy", "confidence"],
        typer.Option(
            help="The measure of uncertainty: entropy of the labels, or one minus the probability "
            "of the best label; for taggers the mean over the words."
        ),
    ] = "entropy",
    diversity: Annotated[
        bool,
        typer.Option(
            "--diversity/--no-diversity",
            help="Whether to choose sentences that differ from each other.",
        ),
    ] = True,
    input_format: Annotated[
        Literal["auto", "text", "paragraphs", "conll", "jsonl", "csv", "tsv"],
        typer.Option("--input", help="The format of the files. auto: from the file names."),
    ] = "auto",
    output: Annotated[Path, typer.Option(help="The new folder for the suggestions.")] = Path(
        "suggestions"
    ),
    device: DeviceOption = None,
    trust: TrustOption = False,
) -> None:
    """Choose the sentences to label next.

    Chooses sentences that differ from each other and whose labels are uncertain under the model.
    Writes them with the predictions of the model as JSON lines, and as files that doccano and Label
    Studio import.
    """
    from mtl.analysis.suggest.formats import write_suggestions
    from mtl.analysis.suggest.suggest import suggest
    from mtl.cli.predict_input import read_input
    from mtl.display.labelling import LabellingProgress
    from mtl.files import check_new
    from mtl.trained_model import load

    check_new(output)
    model = load(folder, device=device, trust=trust)
    tasks = model.selection.labelling(task)
    pool: list[Sentence] = []
    for file in text:
        progress = LabellingProgress(file, bar=False)
        pool += read_input(model, file, input_format, tasks, None, progress).sentences
    found = suggest(model, pool, number, task, measure=uncertainty, diverse=diversity)
    files = write_suggestions(found, output)
    _print(found, len(pool))
    for path in files:
        typer.echo(path)


def _print(found: list[Suggestion], size: int) -> None:
    from mtl.errors import shorten

    rows = []
    for rank, own in enumerate(found[:SHOWN], 1):
        shown = shorten(" ".join(own.prediction.tokens), _WIDTH)
        rows.append([str(rank), shown, f"{own.uncertainty:.3f}"])
    title = f"{len(found):,} of {size:,} sentences to label next"
    title += f"; the first {len(rows)}" if len(rows) < len(found) else ""
    print_rows(title, ["", "sentence", "uncertainty"], rows, left=2, keys=3)
