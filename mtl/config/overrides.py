"""Overrides of values of a run file, from the command line or from Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from typing import Any, TypeAlias

from mtl.config.document import DocumentError, Node, parse
from mtl.errors import Place

Overrides: TypeAlias = "Iterable[str] | Mapping[str, Any]"
"""`["training.epochs=3"]`, values in YAML; or `{"training.epochs": 3}`."""


def override_nodes(overrides: Overrides) -> list[Node]:
    """Return a document per override, to be merged over the run in order.

    Raises:
        DocumentError: An override is not `key=value`, or its value is not YAML.
    """
    if isinstance(overrides, Mapping):
        return [_from_python(key, value) for key, value in overrides.items()]
    return [_from_text(text) for text in overrides]


def _from_text(text: str) -> Node:
    place = Place(f"command line: {text}")
    key, equals, value = text.partition("=")
    if not equals:
        raise DocumentError(place, "expected key=value, such as training.epochs=3")
    try:
        node = parse(value, place.path) or Node(None, place)
    except DocumentError as error:
        raise DocumentError(place, error.message) from None
    # The place is the whole override: a column inside it would mean nothing to the user.
    return _nest(key, _at(node.plain(), place), place)


def _from_python(key: str, value: Any) -> Node:
    place = Place(f"override: {key}={value!r}")
    return _nest(key, _at(value, place), place)


def _at(value: Any, place: Place) -> Node:
    """Return the tree of a Python value; all its nodes get the same place."""
    if isinstance(value, Mapping):
        return Node({str(key): _at(child, place) for key, child in value.items()}, place, place)
    if isinstance(value, list | tuple):
        return Node([_at(child, place) for child in value], place, place)
    if isinstance(value, PathLike):
        return Node(fspath(value), place, place)
    if value is None or isinstance(value, bool | int | float | str):
        return Node(value, place, place)
    kind = type(value).__name__
    raise DocumentError(place, f"expected a number, a string, a list or a dict, got {kind}")


def _nest(key: str, node: Node, place: Place) -> Node:
    """Return `{a: {b: node}}` for the key `a.b`."""
    for name in reversed(key.split(".")):
        if not name:
            raise DocumentError(place, f"expected a key such as training.epochs, got {key!r}")
        node = Node({name: node}, place, place)
    return node
