"""`mtl ensemble`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from mtl.cli.arguments import DeviceOption, TrustOption

if TYPE_CHECKING:
    from mtl.display.tables import Cells
    from mtl.metrics import Unit
    from mtl.metrics.spread import Scores
    from mtl.runs.ensemble import EnsembleJson


def ensemble(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Run folders. All seeds or snapshots of a folder become members.",
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the ensemble.")],
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="A task of the ensemble; repeat it for several. Default: all."),
    ] = None,
    device: DeviceOption = None,
    trust: TrustOption = False,
) -> None:
    """Combine trained models into one that predicts with their mean.

    The members may be seeds of one run, snapshots of a cyclic schedule (cosine_restarts), or runs
    with different networks. Their common tasks must have the same labels. Probabilities are
    averaged; for CRFs, the scores of labels and transitions. The folder contains copies of the
    members; predict, evaluate and report use it like a run folder.
    """
    from mtl import api
    from mtl.cli.tables import print_rows
    from mtl.display.reading import show_import
    from mtl.runs.ensemble import read_ensemble
    from mtl.runs.history import read_history

    api.ensemble(folders, output=output, tasks=task, device=device, trust=trust)
    if read_ensemble(output)["dev"]:
        found = read_history(output, show_import if trust else None)
        assert found.ensemble
        print_rows("dev", *score_rows(found.ensemble, found.tasks, found.units))
    typer.echo(f"model: {output}")
    typer.echo(f"next:  mtl predict {quote(str(output))} FILE")


def score_rows(
    description: EnsembleJson, tasks: Sequence[str], units: Mapping[str, Unit]
) -> tuple[list[str], list[Cells]]:
    """Return header and rows of a table: the main score of each task, by member.

    Args:
        description: The ensemble, with dev scores.
        tasks: The tasks.
        units: Task to the unit of its scores.
    """
    from mtl.metrics import shown
    from mtl.metrics.spread import scores_from_json

    dev = scores_from_json(description["dev"])
    mains = {task: next(iter(own)) for task in tasks if (own := dev.get(task))}

    def cells(name: str, own: Scores) -> Cells:
        return [
            name,
            *(
                shown(own[task][main], units[task]) if task in own else None
                for task, main in mains.items()
            ),
        ]

    rows = [cells(own["source"], scores_from_json(own["dev"])) for own in description["members"]]
    header = ["member", *(f"{task} {main}" for task, main in mains.items())]
    return header, [*rows, cells("ensemble", dev)]
