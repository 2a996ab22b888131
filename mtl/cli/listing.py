"""`mtl list`."""

from __future__ import annotations

import inspect
import json
from typing import Annotated, Any

import typer
from rich.table import Table

from mtl.cli.tables import plain_console
from mtl.errors import ConfigError, did_you_mean
from mtl.options import REQUIRED, part_options


def list_parts(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="heads, trunks, sharing, …; by default all kinds."),
    ] = None,
) -> None:
    """List the parts that a run file can use.

    Shows every part with its options and their defaults.
    """
    from mtl.display.tables import print_table
    from mtl.experiment import KINDS

    by_plural = {_plural(name): registry for name, registry in KINDS.items()}
    known = {**by_plural, **KINDS}
    if kind is not None and kind not in known:
        raise ConfigError(f"no kind of part {kind!r}{did_you_mean(kind, by_plural)}")
    console = plain_console()
    for name, registry in by_plural.items() if kind is None else [(kind, known[kind])]:
        table = Table("type", "what it is", "options")
        for part, cls in registry.items():
            table.add_row(part, _first_line(cls), _options(cls))
        print_table(console, name, table)


def _plural(kind: str) -> str:
    return {"weighting": kind, "mixing": kind, "sharing": kind}.get(kind, f"{kind}s")


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def _options(cls: type) -> str:
    return "\n".join(f"{o.name}: {_yaml(o.default)}" for o in part_options(cls).values())


def _yaml(default: Any) -> str:
    """Return a default as a run file would write it."""
    if default is REQUIRED:
        return "(must be given)"
    return default if isinstance(default, str) else json.dumps(default)
