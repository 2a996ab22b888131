"""`mtl explain`."""

from __future__ import annotations

from collections.abc import Iterable
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from mtl.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from mtl.config.reference import Key


def explain(
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY",
            help="A key of a run file, such as training.patience; its last words, such as lr; or "
            "a part, such as crf or head.crf. Without it, the keys of a run file are listed.",
        ),
    ] = None,
) -> None:
    """Explain a key of the run file.

    Prints the accepted values, the default and the meaning of the key and of all keys below it.
    """
    from mtl.config.reference import find, first_line, part_keys, reference
    from mtl.experiment import KINDS

    keys = reference(KINDS)
    if key is None:
        sections = dict.fromkeys(key.path.partition(".")[0] for key in keys)
        typer.echo(fill(f"keys of a run file: {', '.join(sections)}", _width()))
        typer.echo("more: mtl explain KEY; mtl list shows the parts")
    elif found := find(keys, key):
        typer.echo("\n".join(option_lines(found)))
    elif parts := part_keys(KINDS, key):
        for title, options in parts.items():
            kind, name = title.split()
            typer.echo(fill(f"{title}: {first_line(KINDS[kind].find(name))}", _width()))
            typer.echo("\n".join(option_lines(options)))
    else:
        names = {key.path.rpartition(".")[2] for key in keys}
        names |= {name for parts in KINDS.values() for name, _ in parts.items()}
        raise ConfigError(f"no key or part {key!r}{did_you_mean(key, names)}")


def option_lines(keys: Iterable[Key]) -> Iterable[str]:
    """Yield the key, the values and the meaning of options, for a terminal."""
    for key in keys:
        default = f"default {key.default}" if key.default else "must be given"
        of = f" ({', '.join(key.parts)})" if key.parts else ""
        yield f"{key.path}{of}"
        for text in filter(None, (f"{key.values}; {default}", key.help)):
            yield fill(text, _width(), initial_indent="    ", subsequent_indent="    ")


def _width() -> int:
    """Return the width of the terminal, at most 100, and 100 where there is none."""
    return min(100, get_terminal_size((100, 24)).columns)
