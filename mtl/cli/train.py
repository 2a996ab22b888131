"""`mtl train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mtl.cli.arguments import OverrideArguments, RunFileArgument
from mtl.cli.tables import print_spread


def train(
    run: RunFileArgument,
    overrides: OverrideArguments = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The run folder; by default runs/ and the name of the run file."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
) -> None:
    """Train what a run file says.

    Weights, metrics and log go to a run folder, for a run with several seeds to one a seed. Ctrl-C
    ends training and keeps the best model so far.
    """
    from mtl import api
    from mtl.experiment import load_config
    from mtl.runs.checkpoint import seed_folders
    from mtl.runs.history import read_history

    if load_config(run, overrides or []).seeds == 1:
        folder = api.train(run, overrides or [], output=output, resume=resume).folder
        typer.echo(f"model: {folder}")
    else:
        folder = api.train_seeds(run, overrides or [], output=output, resume=resume)
        seeds = seed_folders(folder)
        history = read_history(folder)
        title = f"dev, best epochs of {len(seeds)} seeds"
        print_spread(title, history.dev(), history.units)
        typer.echo(f"models: {', '.join(map(str, seeds))}")
    typer.echo(f"next:  mtl evaluate {folder}")
