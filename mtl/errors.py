"""Errors that a user can cause and mend: one line, a place, what was expected, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something was written: a file, a line and a column, from 1; 0 means unknown."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join([self.path, *(str(n) for n in (self.line, self.column) if n)])


class MtlError(Exception):
    """A mistake in what the user gave. The command prints it, no traceback, and exits with 2."""


class ConfigError(MtlError):
    """One or several mistakes in a configuration, each a line that starts with its place."""


class DataError(MtlError):
    """A mistake in a data file.

    Args:
        message: What was found, what was expected and what to do.
        path: The file.
        line: Its line, from 1; 0 when no single line is to blame.
    """

    def __init__(self, message: str, path: str | Path, line: int = 0) -> None:
        super().__init__(f"{Place(str(path), line)}: {message}")


class TrainingError(MtlError):
    """Training cannot go on."""


class CheckpointError(MtlError):
    """A run folder that cannot be read, or does not fit the model."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or the list of names when none is near.

    >>> did_you_mean("dropuot", ["dropout", "layers"])
    "; did you mean 'dropout'?"
    >>> did_you_mean("zzz", ["b", "a"])
    '; expected one of: a, b'
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; expected one of: {', '.join(names)}" if names else ""
