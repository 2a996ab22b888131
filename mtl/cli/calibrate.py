"""`mtl calibrate`."""

from __future__ import annotations

import json
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from mtl.cli.arguments import DeviceOption, RunFolderArgument, TaskOption, TrustOption

if TYPE_CHECKING:
    from pathlib import Path

    from mtl.experiment.calibration import Calibration


def calibrate(
    folder: RunFolderArgument,
    task: TaskOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: DeviceOption = None,
    trust: TrustOption = False,
) -> None:
    """Fit the confidences of a trained model to its dev set.

    The scores of a head are divided by one number, its temperature, before they become
    probabilities. The temperatures are saved in the run folder, and all commands use them. Labels
    and scores do not change. A folder with several seeds is calibrated seed by seed; an ensemble
    has temperatures of its own.

    The calibration error (ECE) on the dev set is shown before and after; the error on the test set
    is honest: mtl evaluate DIR --calibration.
    """
    from mtl import api
    from mtl.runs.checkpoint import seed_folders

    folders = seed_folders(folder) or [folder]
    found: dict[Path, Calibration] = {}
    for own in folders:
        model = api.load(own, device=device, trust=trust)
        found[own] = model.calibrate(task)
    if as_json:
        records = {str(own): result.to_dict() for own, result in found.items()}
        typer.echo(json.dumps(records if len(records) > 1 else records[str(folders[0])], indent=1))
        return
    for own, result in found.items():
        _print(own, result)
    # The command must work as it is printed: it needs a test set.
    splits = {name for corpus in model.run.corpora.values() for name in corpus.split_names}
    after = "evaluate {} --calibration" if "test" in splits else "predict {} FILE --confidence"
    typer.echo(f"next:  mtl {after.format(quote(str(folders[-1])))}")


def _print(folder: Path, found: Calibration) -> None:
    from mtl.cli.reliability import print_reliability
    from mtl.cli.tables import print_rows
    from mtl.experiment.calibration import temperature_of

    header = ["task", "answers", "number", "temperature", "ECE before", "after", "by chance"]
    rows = [
        [
            task,
            kind,
            f"{len(before):,}",
            f"{temperature_of(temperature, kind):.3f}",
            f"{before.error():.4f}",
            f"{found.after[task][kind].error():.4f}",
            f"{found.after[task][kind].chance():.4f}",
        ]
        for task, temperature in found.temperatures.items()
        for kind, before in found.before[task].items()
    ]
    print_rows(f"{folder}: calibration error (ECE) on the dev set", header, rows, left=2)
    for task, by_kind in found.after.items():
        print_reliability(f"{task}, after", by_kind)
    for line in found.notes():
        typer.echo(f"note: {line}", err=True)
