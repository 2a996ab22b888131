"""`mtl train`."""

from __future__ import annotations

from shlex import quote
from typing import Annotated

import typer

from mtl.cli.arguments import (
    OutputOption,
    OverrideArguments,
    ResumeOption,
    RunFileArgument,
    TrustOption,
    announce,
)
from mtl.cli.tables import print_spread


def train(
    run: RunFileArgument,
    overrides: OverrideArguments = None,
    output: OutputOption = None,
    resume: ResumeOption = False,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of processes that train together on this machine; the batch sizes of the "
            "run file are the sizes for one process.",
        ),
    ] = 1,
    trust: TrustOption = False,
) -> None:
    """Train the model of a run file.

    Weights, metrics and a log are written to a run folder; with several seeds, to one folder per
    seed. Ctrl-C and SIGTERM end training after the current step and keep the best model so far. The
    same command with --resume continues, and can be repeated until training is finished.
    """
    if processes > 1:
        from mtl.cli.launch import launch

        place = [] if output is None else [f"--output={output}"]
        switches = {"--resume": resume, "--trust": trust}
        given = [*place, *(name for name, wanted in switches.items() if wanted)]
        launch(processes, ["train", *given, "--", str(run), *(overrides or [])])
        return
    announce(run)
    from mtl import api
    from mtl.runs.checkpoint import seed_folders
    from mtl.runs.history import read_history
    from mtl.training.processes import current

    trained = api.train(run, overrides or [], output=output, resume=resume, trust=trust)
    if not current().main:
        return
    folder = trained.folder
    if isinstance(trained, api.TrainedSeeds):
        seeds = seed_folders(folder)
        history = read_history(folder)
        title = f"dev, best epochs of {len(seeds)} seeds"
        print_spread(title, history.dev(), history.units)
        typer.echo(f"models: {', '.join(map(str, seeds))}")
    else:
        typer.echo(f"model: {folder}")
    splits = {
        name for corpus in trained.models[0].run.corpora.values() for name in corpus.split_names
    }
    # The command must work as it is printed: evaluation is on the test set by default.
    typer.echo(
        f"next:  mtl evaluate {quote(str(folder))}{'' if 'test' in splits else ' --split dev'}"
    )
    if isinstance(trained, api.TrainedSeeds) or "dev" not in splits:
        return
    targets = trained.predictor.targets.values()
    if any(target.values in ("labels", "sets") for target in targets):
        typer.echo(f"then:  mtl calibrate {quote(str(folder))}")
