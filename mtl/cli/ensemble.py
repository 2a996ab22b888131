"""`mtl ensemble`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtl.cli.arguments import DeviceOption, TrustOption

if TYPE_CHECKING:
    from mtl.display.tables import Cells
    from mtl.ensembles import DevScores
    from mtl.metrics import Unit
    from mtl.metrics.spread import Scores


def ensemble(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Run folders; a folder with several seeds, or with snapshots, stands for all of "
            "them.",
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the ensemble.")],
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task", help="One task of the ensemble; repeat it for several. Default: all."
        ),
    ] = None,
    device: DeviceOption = None,
    trust: TrustOption = False,
) -> None:
    """Join several trained models into one that predicts with their mean.

    The members may be seeds of one run, snapshots of a cyclic schedule (cosine_restarts), or runs
    with different networks, as long as the labels of their common tasks agree. Probabilities are
    averaged; for CRFs, the scores of labels and transitions are. The folder contains copies of the
    members, and is used like a run folder by predict, evaluate and report.
    """
    from mtl.cli.tables import print_rows
    from mtl.ensembles import dev_scores
    from mtl.ensembles import ensemble as join

    joint = join(folders, output=output, tasks=task, device=device, trust=trust)
    from mtl.experiment.experiment import make_metrics

    units = {name: make().unit for name, make in make_metrics(joint.run, joint.tasks).items()}
    scores = dev_scores(output)
    if scores.ensemble:
        print_rows("dev", *score_rows(scores, joint.tasks, units))
    typer.echo(output)


def score_rows(
    scores: DevScores, tasks: list[str], units: dict[str, Unit]
) -> tuple[list[str], list[Cells]]:
    """Return header and rows of a table: the main score of each task, by member.

    Args:
        scores: The dev scores.
        tasks: The tasks.
        units: Task to the unit of its scores.
    """
    from mtl.metrics import shown

    mains = {task: next(iter(own)) for task in tasks if (own := scores.ensemble.get(task))}

    def cells(name: str, own: Scores) -> Cells:
        return [
            name,
            *(
                shown(own[task][main], units[task]) if task in own else None
                for task, main in mains.items()
            ),
        ]

    rows = [cells(name, own) for name, own in scores.members]
    header = ["member", *(f"{task} {main}" for task, main in mains.items())]
    return header, [*rows, cells("ensemble", scores.ensemble)]
