"""`mtl correct`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mtl.cli.arguments import OverrideArguments, RunFileArgument


def correct(
    run: RunFileArgument,
    corrections: Annotated[
        Path,
        typer.Argument(
            metavar="CORRECTIONS",
            help="Lines of audit.jsonl, such as the file that the page of mtl audit saves. Each "
            "new label may be changed by hand.",
        ),
    ],
    overrides: OverrideArguments = None,
    output: Annotated[Path, typer.Option(help="The new folder for the corrected copies.")] = Path(
        "corrected"
    ),
) -> None:
    """Apply corrections of labels to copies of the data files.

    The readers conll, conllu, csv, tsv, jsonl and lines are supported. Everything but the corrected
    labels stays identical, byte for byte. A file that has changed since the audit is an error.
    """
    from mtl.analysis.corrections.correct import correct
    from mtl.options import count

    for file in correct(run, corrections, overrides or [], output=output):
        typer.echo(f"{file.path}: {count(file.labels, 'label')} corrected")
    typer.echo("next:  replace the old files by these, or change files: in the corpus file")
