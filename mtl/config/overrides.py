"""Overrides of values of a run file, from the command line or from Python."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from mtl.config.document import DocumentError, Node, parse, python_node
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
    if isinstance(overrides, str) or not isinstance(overrides, Iterable):
        message = f"expected a dict or a list of KEY=VALUE, got {overrides!r}"
        raise DocumentError(Place("overrides"), message)
    return [_from_text(text) for text in overrides]


def extended(overrides: Overrides, more: Mapping[str, Any]) -> Overrides:
    """Return overrides with some more values, which come last.

    Args:
        overrides: The overrides.
        more: Key to a value of JSON types.
    """
    if isinstance(overrides, Mapping):
        return {**overrides, **more}
    # JSON is YAML too.
    return [*overrides, *(f"{key}={json.dumps(value)}" for key, value in more.items())]


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
    return _nest(key, python_node(node.plain(), lambda keys: place), place)


def _from_python(key: str, value: Any) -> Node:
    place = Place(f"override: {key}={value!r}")
    return _nest(key, python_node(value, lambda keys: place), place)


def _nest(key: str, node: Node, place: Place) -> Node:
    """Return `{a: {b: node}}` for the key `a.b`."""
    for name in reversed(key.split(".")):
        if not name:
            raise DocumentError(place, f"expected a key such as training.epochs, got {key!r}")
        node = Node({name: node}, place, place)
    return node
