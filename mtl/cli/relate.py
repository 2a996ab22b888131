"""`mtl relate`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mtl.cli.arguments import (
    OverrideArguments,
    RunFileArgument,
    TrustOption,
    check_page,
    finite,
)
from mtl.cli.tables import print_rows

if TYPE_CHECKING:
    from mtl.analysis.relations import Relations
    from mtl.metrics.spread import Spread


def relate(
    run: RunFileArgument,
    overrides: OverrideArguments = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="The output folder; default: runs/NAME-relations for the run file NAME.yaml."
        ),
    ] = None,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Measure only affinities, in one joint training per seed."),
    ] = False,
    groups: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Also divide the tasks into at most N groups to train together, by affinity.",
        ),
    ] = None,
    affinity: Annotated[
        Literal["gradients", "difficulty"],
        typer.Option(
            help="Affinities from the gradients of the tasks, or from the sentences that are "
            "difficult for two tasks."
        ),
    ] = "gradients",
    branches: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write a run file with the sharing `branches`, whose groups of tasks are "
            "found by affinity; for --affinity difficulty.",
        ),
    ] = None,
    branch_cost: Annotated[
        float | None,
        typer.Option(
            min=0,
            callback=finite,
            metavar="NUMBER",
            help="With --branches: the cost of a further branch of the last layer, doubled with "
            "each layer below; default: 0.2.",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs of each training.")] = 3,
    limit: Annotated[
        int, typer.Option(min=1, help="Maximum number of training sentences per corpus.")
    ] = 500,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds per training.")] = 3,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a stopped command, or start.")
    ] = False,
    trust: TrustOption = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with a matrix of gains.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure which tasks of a run help each other.

    Trains each task alone and each pair of tasks, on little data for a few epochs. Prints the gain
    in the best dev score of each task from each other task, with a 95 % confidence interval, and
    properties of the tasks that may predict the gain. Also trains all tasks together, and measures
    affinities: how much a step on one task lowers the loss of another task, or how often the same
    sentences are difficult for both.
    """
    if html is not None:
        check_page(html)
    if branches is not None:
        check_page(branches, "--branches")
        if affinity != "difficulty":
            raise typer.BadParameter("expected --affinity difficulty", param_hint="--branches")
        branch_cost = 0.2 if branch_cost is None else branch_cost
    elif branch_cost is not None:
        raise typer.BadParameter("expected --branches FILE", param_hint="--branch-cost")
    from mtl.analysis.relations import relate

    found = relate(
        run,
        overrides or [],
        output=output or Path("runs") / f"{run.stem}-relations",
        fast=fast,
        groups=groups,
        affinity=affinity,
        branch_cost=branch_cost,
        epochs=epochs,
        limit=limit,
        seeds=seeds,
        resume=resume,
        trust=trust,
    )
    if branches is not None:
        from mtl.display.reading import show_import
        from mtl.experiment import load_config
        from mtl.tuning.best import write_best

        sharing = {"type": "branches", "by_layer": found.branches}
        changes = [*(overrides or []), f"sharing={json.dumps(sharing)}"]
        changed = load_config(run, changes, on_import=show_import if trust else None)
        title = "Branches of tasks, found by mtl relate."
        write_best(branches, run, overrides or [], {("sharing",): sharing}, changed, title)
    if html is not None:
        from mtl.analysis.report.relations import relations_page
        from mtl.files import atomic_write

        with atomic_write(html) as file:
            file.write(relations_page(found, f"Relations of the tasks of {run.stem}"))
    if as_json:
        typer.echo(json.dumps(_json(found), indent=1))
        return
    _print(found)


def _print(found: Relations) -> None:
    from mtl.analysis.report.relations import (
        AFFINITIES,
        GAINS,
        affinity_table,
        gain_table,
        remarks,
        trait_table,
    )

    if found.gains:
        print_rows(GAINS, *gain_table(found), left=2)
    if found.affinities:
        print_rows(AFFINITIES[found.affinity], *affinity_table(found))
    print_rows("the tasks", *trait_table(found))
    for line in remarks(found):
        typer.echo(line)


def _json(found: Relations) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "scores": dict(found.scores),
        "alone": {task: own.to_json() for task, own in found.alone.items()},
        "gains": _by_task(found.gains, found.scores),
        "affinities": _by_task(found.affinities, dict.fromkeys(t for t, _ in found.affinities)),
        "agreement": found.agreement,
        "groups": [list(group) for group in found.groups],
        "branches": [[list(group) for group in layer] for layer in found.branches],
        "tasks": {task: asdict(own) for task, own in found.traits.items()},
    }


def _by_task(
    pairs: Mapping[tuple[str, str], Spread], tasks: Iterable[str]
) -> dict[str, dict[str, object]]:
    """Return the values of pairs of tasks by the first task, and by the second one."""
    return {
        task: {
            other: {**own.to_json(), "margin": own.margin}
            for (one, other), own in pairs.items()
            if one == task
        }
        for task in tasks
    }
