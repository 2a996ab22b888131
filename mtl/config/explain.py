"""The wording of what is wrong with a configuration, and the list in which it is gathered."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mtl.config.document import DocumentError, Node
from mtl.config.parts import Expected
from mtl.errors import ConfigError, Place, did_you_mean
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


class Problems:
    """Mistakes found so far, each told once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Place, str], str] = {}
        self.count = 0
        """How often something was wrong, repetitions counted."""

    def add(self, place: Place, path: str, message: str) -> None:
        """Add a mistake.

        Args:
            place: Where it stands.
            path: The dotted path of the key. A second mistake at the same place about a key of
                the same name is the same one, met again.
            message: What is wrong.
        """
        self.count += 1
        self._found.setdefault((place, path.rpartition(".")[2]), message)

    def add_error(self, error: DocumentError) -> None:
        """Add a mistake of a document."""
        self.add(error.place, "", error.message)

    def check(self) -> None:
        """Raise all mistakes as one ConfigError, sorted by place."""
        if self._found:
            found = sorted((place, message) for (place, _), message in self._found.items())
            raise ConfigError("\n".join(f"{place}: {message}" for place, message in found))


def unknown_key(path: str, known: Iterable[str]) -> str:
    """Say that a key is not known, and which one is near."""
    return f"unknown key {path!r}{did_you_mean(path.rpartition('.')[2], known)}"


def wrong_value(path: str, annotation: Any, node: Node) -> str:
    """Say what was expected and what was found."""
    message = f"{path}: expected {describe(annotation)}, got {show(node)}"
    choices = [choice for choice in literals(annotation) if isinstance(choice, str)]
    near = did_you_mean(node.value, choices) if isinstance(node.value, str) and choices else ""
    return message + (near if near.startswith("; did") else "")


def show(node: Node) -> str:
    """Return a value as a message shows it."""
    if node.is_mapping:
        return "a mapping"
    if node.is_list:
        return "a list"
    if node.value is None or isinstance(node.value, bool):
        return {None: "null", True: "true", False: "false"}[node.value]
    shown = repr(node.value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def describe(annotation: Any) -> str:
    """Say in plain words what values a type takes.

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
    """Return the choices that a type lists, in any of its alternatives."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for argument in get_args(annotation) for choice in literals(argument)]
