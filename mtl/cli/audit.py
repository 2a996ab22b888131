"""`mtl audit`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtl.cli.arguments import (
    OverrideArguments,
    RunFileArgument,
    TrustOption,
    check_page,
    refuse_beside,
)
from mtl.cli.tables import print_rows

if TYPE_CHECKING:
    from mtl.analysis.audit.audit import Audit

AROUND = 4
"""The number of words shown on each side of a suspicious label."""
MANY = 0.2
"""The share of suspicious labels above which the models are probably too weak to judge labels."""
_NAME = 24
"""The number of characters of a printed file name."""
_WORDS = 60
"""The number of characters of a printed sentence or span; the page has all its words."""


def audit(
    context: typer.Context,
    run: RunFileArgument,
    overrides: OverrideArguments = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="The output folder; default: runs/NAME-audit for the run file NAME.yaml."
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(min=2, help="Number of folds; one model is trained for each.")
    ] = 5,
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            help="A task whose labels are examined; repeat it for several. Default: all tasks with "
            "labels or sets of labels in files.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="Number of labels to print per task.")] = 20,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a page on which to accept or reject each suggestion; it saves the accepted "
            "ones for mtl correct.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a stopped command, or start.")
    ] = False,
    trust: TrustOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the content of audit.jsonl instead of tables.")
    ] = False,
) -> None:
    """Find wrong labels in the training data.

    Divides the training sentences into folds, and trains one model per fold on all other folds. The
    labels of a fold are ranked by their probability under the model that has not seen them. The
    file audit.jsonl in the output folder has all labels for which another label is more probable,
    the most suspicious first. mtl correct applies its lines to copies of the data files.
    """
    if as_json:
        refuse_beside(context, ["top"], "json")
    if html is not None:
        check_page(html)
    from mtl.analysis.audit.audit import ISSUES, audit

    found = audit(
        run,
        overrides or [],
        output=output or Path("runs") / f"{run.stem}-audit",
        folds=folds,
        tasks=task,
        resume=resume,
        trust=trust,
    )
    if html is not None:
        from mtl.analysis.audit.page import write_page

        write_page(found, html)
    if as_json:
        typer.echo((found.folder / ISSUES).read_text(encoding="utf-8"), nl=False)
        return
    print_audit(found, top)
    typer.echo(f"all: {found.folder / ISSUES}")
    if html is not None:
        typer.echo(f"page: {html}")
    if found.issues:
        source = f"{html}: accept corrections and save them" if html else "copy the right lines"
        command = shlex.join(["mtl", "correct", str(run), "accepted.jsonl", *(overrides or [])])
        typer.echo(f"next:  {source} as accepted.jsonl; {command}")


def print_audit(found: Audit, top: int) -> None:
    """Print the counts of all tasks, and the most suspicious labels of each."""
    from mtl.analysis.audit.issues import excerpt
    from mtl.errors import shorten

    rows = [
        [name, f"{own.labels:,}", f"{own.issues:,}", _percent(own.issues, own.labels)]
        for name, own in found.tasks.items()
    ]
    print_rows(
        "labels, and those for which another label is more probable",
        ["task", "labels", "suspicious", "%"],
        rows,
    )
    for name, own in found.tasks.items():
        if own.issues > MANY * own.labels:
            typer.echo(
                f"note: {name}: so many labels are suspicious that the models are probably too "
                "weak to judge them; add training data or epochs"
            )
    for name in found.tasks:
        issues = [issue for issue in found.issues if issue.task == name][:top]
        if not issues:
            continue
        cells = []
        for issue in issues:
            before, words, after = excerpt(issue, AROUND)
            words = shorten(words, _WORDS)
            text = f"{before} [{words}] {after}".strip() if issue.start is not None else words
            cells.append(
                [
                    f"{shorten(Path(issue.file).name, _NAME)}:{issue.line}",
                    text,
                    issue.given,
                    issue.suggested,
                    f"{issue.given_probability:.2g}",
                    f"{issue.suggested_probability:.2g}",
                ]
            )
        header = ["place", "words", "given", "suggested", "p(given)", "p(sugg.)"]
        print_rows(f"{name}: the most suspicious labels", header, cells, left=4, keys=6, whole=1)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}" if whole else "–"
