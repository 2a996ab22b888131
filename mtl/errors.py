"""Errors that a user can cause and fix: one line with a place, the expected value, and a remedy."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file: path, line and column. Both count from 1; 0 means unknown."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join([self.path, *(str(n) for n in (self.line, self.column) if n)])


class MtlError(Exception):
    """An error in the user's input. The command prints it without a traceback and exits with 2."""


class ConfigError(MtlError):
    """One or more errors in a configuration. Each is a line that starts with its place."""


class DataError(MtlError):
    """An error in a data file.

    Args:
        message: The problem, the expected content, and a remedy.
        path: The file.
        line: The line, from 1; 0 if no single line causes the error.
    """

    def __init__(self, message: str, path: str | Path, line: int = 0) -> None:
        message = shorten(message, _LONGEST)
        super().__init__(f"{Place(str(path), line)}: {message}")
        self.message = message
        self.path = str(path)
        self.line = line


class TrainingError(MtlError):
    """Training cannot continue."""


class CheckpointError(MtlError):
    """A run folder cannot be read, or does not fit the model."""


class OptionError(ValueError):
    """A part does not accept the value of one of its options.

    Parts raise it. The experiment layer turns it into a `ConfigError` with the place where the
    option was written.

    Args:
        option: The name of the option; empty if the part as a whole is to blame.
        message: The expected and the actual value, and a remedy.
    """

    def __init__(self, option: str, message: str) -> None:
        super().__init__(option, message)
        self.option = option
        self.message = message

    def __str__(self) -> str:
        return f"{self.option}: {self.message}" if self.option else self.message


def printable(text: str) -> str:
    r"""Return a text on one line, with escapes for characters that a terminal cannot show.

    >>> printable("a\0b\n漢")
    'a\\x00b\\n漢'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


_NAMES, _NAME = 100, 80
"""The greatest number of known names in a message, and the greatest length of one."""

_LONGEST = 1000
"""The greatest length of the message of a `DataError`, which may quote the file."""


def shorten(text: str, length: int = 200) -> str:
    """Return a text with its middle left out, so that its length is at most `length`.

    >>> shorten("abcdefghij", 7)
    'abcd…ij'
    """
    if len(text) <= length:
        return text
    end = length // 3
    return f"{text[: length - end - 1]}…{text[-end:]}"


def not_installed(need: str, extra: str, error: ImportError) -> str:
    """Return a message on an optional package that is not installed.

    Args:
        need: The part or function that needs it.
        extra: The extra of this package that installs it.
        error: The error of the import.
    """
    package = error.name or error
    return f"{need} needs {package}, which is not installed; run pip install 'mtl[{extra}]'"


def check_number(number: int) -> None:
    """Check the number of results that a function should return.

    Raises:
        MtlError: It is below 1.
    """
    if number < 1:
        raise MtlError(f"number: expected a whole number of at least 1, got {number}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or the list of known names if none is similar.

    >>> did_you_mean("dropuot", ["dropout", "layers"])
    "; did you mean 'dropout'?"
    >>> did_you_mean("zzz", ["b", "a"])
    '; expected one of: a, b'
    """
    names = sorted(known)
    near = get_close_matches(name[:100], names, n=1)
    if near:
        return f"; did you mean {shorten(near[0], _NAME)!r}?"
    listed = ", ".join(shorten(known, _NAME) for known in names[:_NAMES])
    more = f", … ({len(names)} in all)" if len(names) > _NAMES else ""
    return f"; expected one of: {listed}{more}" if names else ""
