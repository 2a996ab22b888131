"""`mtl new`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer


def new(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Data with labels. A file with dev or test in its name is that split; all others "
            "are training data.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the run; by default the name of the first file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """Write a run file for your own data.

    Recognises CoNLL, CoNLL-U, CSV, TSV, JSON lines, exports of doccano, Prodigy and Label Studio,
    and brat folders. Writes the run file NAME.yaml and the corpus file tasks/NAME.yaml.
    """
    from mtl.files import all_or_none
    from mtl.inspection import describe, plan_corpus, write_files

    name = name or files[0].name.partition(".")[0]
    lines: list[str] = []
    with all_or_none() as write:
        data = [_converted(file, force, write, lines) for file in files]
        plan = plan_corpus(data)
        written = [path for path, file in zip(data, files, strict=True) if path != file]
        written += write_files(plan, name, Path(), force=force)
    for line in (*lines, *describe(plan)):
        typer.echo(line)
    typer.echo(f"wrote {', '.join(map(str, written))}")
    typer.echo(f"next:  mtl check {name}; mtl train {name}")


def _converted(
    file: Path, force: bool, write: Callable[[Path, str], None], lines: list[str]
) -> Path:
    """Return the file, or the file of JSON lines made from the export of an annotation tool.

    Args:
        file: The file of the user.
        force: Whether to replace an existing file.
        write: Writes a text to a path.
        lines: Receives a description of the export.
    """
    from mtl.errors import MtlError
    from mtl.inspection.annotations import read_export

    export = read_export(file)
    if export is None:
        return file
    form, records, notes = export
    path = Path(f"{file.name.partition('.')[0]}.words.jsonl")
    if path.exists() and not force:
        raise MtlError(f"{path}: exists already; rename it, or replace it with --force")
    write(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    lines.append(f"{file}: {form}; {len(records):,} examples, written to {path}")
    lines.extend(notes.lines())
    return path
