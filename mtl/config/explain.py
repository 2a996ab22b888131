"""Error messages about configurations, and the list that collects them."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mtl.config.document import DocumentError, Node
from mtl.config.parts import Expected
from mtl.errors import ConfigError, Place, did_you_mean, printable, shorten
from mtl.options import Bounds, File

_SIMPLE = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    dict: "a mapping",
    type(None): "null",
    Any: "a value",
}


_MOST = 100
"""Number of errors after which the search for more ends: a file may have any number."""


class Problems:
    """The errors found so far, without repetitions."""

    def __init__(self) -> None:
        self._messages: dict[tuple[Place, str], str] = {}
        self.count = 0
        """Number of errors, including repetitions."""

    def add(self, place: Place, path: str, message: str) -> None:
        """Add an error.

        Args:
            place: File, line and column.
            path: The dotted path of the key. A second error at the same place about a key of the
                same name counts as a repetition, since two tasks may use the same corpus file.
            message: The text of the error.
        """
        self.count += 1
        self._messages.setdefault(
            (place, path.rpartition(".")[2]), shorten(printable(message), 2000)
        )
        if len(self._messages) == _MOST:
            self.check(further="; there may be more errors: correct these first")

    def add_error(self, error: DocumentError) -> None:
        """Add an error of a document."""
        self.add(error.place, "", error.message)

    def check(self, further: str = "") -> None:
        """Raise all errors as one ConfigError, sorted by place.

        Args:
            further: Text at the end of the message.
        """
        if self._messages:
            lines = sorted((place, message) for (place, _), message in self._messages.items())
            text = "\n".join(f"{place}: {message}" for place, message in lines)
            raise ConfigError(text + further)


def unknown_key(path: str, known: Iterable[str]) -> str:
    """Return the error message for an unknown key, with the nearest known key."""
    key, colon, _ = path.rpartition(".")[2].partition(":")
    if colon and key in {"type", *known}:
        return f"unknown key {path!r}; write a blank after the colon"
    return f"unknown key {path!r}{did_you_mean(path.rpartition('.')[2], known)}"


def wrong_value(path: str, annotation: Any, node: Node) -> str:
    """Return the error message for a value of the wrong type: expected and found value."""
    message = f"{path}: expected {describe(annotation)}, got {show(node)}"
    choices = [choice for choice in literals(annotation) if isinstance(choice, str)]
    near = did_you_mean(node.value, choices) if isinstance(node.value, str) and choices else ""
    # The message lists all choices already, so only a suggestion adds something.
    return message + (near if near.startswith("; did") else "")


def show(node: Node) -> str:
    """Format a value for an error message."""
    if node.is_range:
        return "a range to search, which only keys of the run file may have"
    if node.is_mapping:
        return "a mapping"
    if node.is_list:
        return "a list"
    if node.value is None or isinstance(node.value, bool):
        return {None: "null", True: "true", False: "false"}[node.value]
    shown = repr(node.value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def describe(annotation: Any) -> str:
    """Describe the values of a type in plain words.

    >>> from mtl.options import Probability
    >>> describe(Probability | None)
    'a number in [0, 1) or null'
    >>> describe(Literal["bio", "iobes"] | list[int])
    "'bio', 'iobes' or a list (each: a whole number)"
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _describe_annotated(arguments[0], arguments[1:])
    if origin in (Literal, Union, types.UnionType):
        return _or(_words(annotation))
    if origin is None:
        return _SIMPLE.get(annotation, getattr(annotation, "__name__", str(annotation)))
    if issubclass(origin, Mapping):
        return f"a mapping (each value: {describe(arguments[1])})"
    if origin is tuple and Ellipsis not in arguments:
        return f"a list of {len(arguments)} (each: {describe(arguments[0])})"
    if issubclass(origin, Sequence | set):
        return f"a list (each: {describe(arguments[0])})"
    return str(annotation)


def _words(annotation: Any) -> list[str]:
    """Return the descriptions of the alternatives of a type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return [repr(choice) for choice in arguments]
    if origin in (Union, types.UnionType):
        return [words for argument in arguments for words in _words(argument)]
    return [describe(annotation)]


def _describe_annotated(base: Any, metadata: Sequence[Any]) -> str:
    for item in metadata:
        if isinstance(item, Expected):
            return item.words
        if isinstance(item, File):
            return "a path"
        if isinstance(item, Bounds):
            return f"{describe(base)} {_range(item)}"
    return describe(base)


def _range(bounds: Bounds) -> str:
    low = bounds.gt if bounds.ge is None else bounds.ge
    high = bounds.lt if bounds.le is None else bounds.le
    if low is None:
        return f"{'below' if bounds.le is None else 'of at most'} {high}"
    if high is None:
        return f"{'above' if bounds.ge is None else 'of at least'} {low}"
    return f"in {'(' if bounds.ge is None else '['}{low}, {high}{')' if bounds.le is None else ']'}"


def _or(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def literals(annotation: Any) -> list[Any]:
    """Return the choices of all `Literal` types in a type."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for argument in get_args(annotation) for choice in literals(argument)]
