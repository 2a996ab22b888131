"""`mtl train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunFile = Annotated[Path, typer.Argument(metavar="RUN", help="The run file, a YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Changes to it, such as training.epochs=3."),
]


def train(
    run: RunFile,
    overrides: Overrides = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The run folder; by default runs/ and the name of the run file."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
) -> None:
    """Train what a run file says.

    Weights, metrics and log go to a run folder. Ctrl-C ends training and keeps the best model so
    far.
    """
    from mtl import api

    model = api.train(run, overrides or [], output=output, resume=resume)
    typer.echo(f"model: {model.folder}")
    typer.echo(f"next:  mtl evaluate {model.folder}")
