"""`mtl new`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def new(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Data with labels. Names with dev or test are these splits; all others are "
            "training data.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the run; by default the name of the first file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """Write a run file for your own data.

    Recognises CoNLL, CoNLL-U, CSV, TSV, JSON lines, exports of doccano, Prodigy and Label Studio,
    and folders of brat. Writes the run file NAME.yaml and the corpus file tasks/NAME.yaml.
    """
    from mtl.inspection import describe, plan_corpus, write_files

    name = name or files[0].name.partition(".")[0]
    written: list[Path] = []
    try:
        data = [_converted(file, name, force, written) for file in files]
        plan = plan_corpus(data)
        written += write_files(plan, name, Path(), force=force)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    for line in describe(plan):
        typer.echo(line)
    typer.echo(f"wrote {', '.join(map(str, written))}")
    typer.echo(f"next:  mtl check {name}; mtl train {name}")


def _converted(file: Path, name: str, force: bool, written: list[Path]) -> Path:
    """Return the file, or the JSON lines made from the export of an annotation tool."""
    from mtl.errors import MtlError
    from mtl.files import atomic_write
    from mtl.inspection.annotations import read_export

    export = read_export(file)
    if export is None:
        return file
    form, records, notes = export
    path = Path(f"{file.name.partition('.')[0]}.words.jsonl")
    if path.exists() and not force:
        raise MtlError(f"{path}: exists already; rename it, or replace it with --force")
    with atomic_write(path) as opened:
        opened.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in records)
    written.append(path)
    typer.echo(f"{file}: {form}; {len(records):,} examples, written to {path}")
    for line in notes.lines():
        typer.echo(line)
    return path
