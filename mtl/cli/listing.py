"""`mtl list`."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mtl.errors import ConfigError, did_you_mean


def list_parts(
    kind: Annotated[
        str | None, typer.Argument(help="heads, trunks, sharing, weighting, …; none: all kinds.")
    ] = None,
) -> None:
    """List the parts that a run file can name, with their options and defaults."""
    from mtl.experiment import KINDS

    by_plural = {_plural(name): registry for name, registry in KINDS.items()}
    known = {**by_plural, **KINDS}
    if kind is not None and kind not in known:
        raise ConfigError(f"no kind of part {kind!r}{did_you_mean(kind, by_plural)}")
    console = Console()
    for name, registry in by_plural.items() if kind is None else [(kind, known[kind])]:
        table = Table("type", "what it is", "options", title=name, title_justify="left")
        for part, cls in registry.items():
            table.add_row(part, _first_line(cls), _options(cls))
        console.print(table)


def _plural(kind: str) -> str:
    return {"weighting": kind, "mixing": kind, "sharing": kind}.get(kind, f"{kind}s")


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def _options(cls: type) -> str:
    from mtl.config.build import part_options

    return "\n".join(f"{o.name}: {o.default!r}" for o in part_options(cls).values())
