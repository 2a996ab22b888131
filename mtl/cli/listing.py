"""`mtl list`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtl.cli.tables import plain_console
from mtl.errors import ConfigError, did_you_mean
from mtl.options import REQUIRED, part_options

if TYPE_CHECKING:
    from mtl.registry import Registry


def list_parts(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="heads, trunks, sharing, …; or a section: training, tasks, corpora, batch, … By "
            "default all kinds.",
        ),
    ] = None,
) -> None:
    """List parts with their options, or the keys of a section.

    Shows all parts that a run file can use; for one kind, also their options and defaults. To see
    the meaning of an option, use mtl explain.
    """
    from rich.table import Table

    from mtl.config.reference import find, reference
    from mtl.display.tables import print_table
    from mtl.experiment import KINDS

    by_plural = {_plural(name): registry for name, registry in KINDS.items()}
    known = {**by_plural, **KINDS}
    console = plain_console()
    if kind is not None and kind not in known:
        keys = find(reference(KINDS), kind)
        if len(keys) < 2:
            sections = ("training", "batch", "fine_tuning", "tasks", "corpora")
            near = did_you_mean(kind, [*by_plural, *sections])
            raise ConfigError(f"{kind!r} is neither a kind of part nor a section{near}")
        rows = Table()
        rows.add_column("key", no_wrap=True)
        rows.add_column("default")
        rows.add_column("meaning")
        for key in keys:
            if not key.parts:
                rows.add_row(key.path, key.default, key.help)
        print_table(console, kind, rows)
        return
    if kind is not None:
        print_parts(kind, known[kind])
        return
    for name, registry in by_plural.items():
        print_parts(name, registry, options=False)
    typer.echo("more: mtl list KIND, such as mtl list trunks")


def print_parts(title: str, registry: Registry[Any], *, options: bool = True) -> None:
    """Print a table of parts, with their options and defaults if wanted."""
    from rich.table import Table

    from mtl.config.reference import first_line
    from mtl.display.tables import print_table

    table = Table("type", "what it is", *(["options"] if options else []))
    for part, cls in registry.items():
        table.add_row(part, first_line(cls), *([_options(cls)] if options else []))
    print_table(plain_console(), title, table)


def _plural(kind: str) -> str:
    return {"weighting": kind, "mixing": kind, "sharing": kind}.get(kind, f"{kind}s")


def _options(cls: type) -> str:
    return "\n".join(f"{o.name}: {_yaml(o.default)}" for o in part_options(cls).values())


def _yaml(default: Any) -> str:
    """Return a default as a run file would write it."""
    if default is REQUIRED:
        return "(must be given)"
    return default if isinstance(default, str) else json.dumps(default)
