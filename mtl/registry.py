"""Parts by name: a table of the built-in parts, and `module:Class` for the user's own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Generic, TypeVar

from mtl.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PartT = TypeVar("PartT")


class Registry(Generic[PartT]):
    """The parts of one kind, by their names in YAML.

    Args:
        kind: The kind, for messages: "head", "trunk", …
        base: The base class of all parts of this kind.
        table: Name to class.
    """

    def __init__(self, kind: str, base: type[PartT], table: Mapping[str, type[PartT]]) -> None:
        self.kind = kind
        self.base = base
        self._table = dict(table)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __contains__(self, name: str) -> bool:
        return name in self._table

    def items(self) -> Iterator[tuple[str, type[PartT]]]:
        """Yield the name and class of each part."""
        yield from self._table.items()

    def find(self, name: str) -> type[PartT]:
        """Return the class with a name: one of the table, or the user's own as `module:Class`.

        Raises:
            ConfigError: The name is unknown; the message contains the nearest one.
        """
        if ":" in name:
            return self._import(name)
        if name not in self._table:
            message = f"unknown {self.kind} {name!r}{did_you_mean(name, self)}"
            raise ConfigError(f"{message} (or your own, as module:Class)")
        return self._table[name]

    def _import(self, name: str) -> type[PartT]:
        module, _, attribute = name.partition(":")
        try:
            part = getattr(import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(f"cannot import {self.kind} {name!r}: {error}") from error
        if not (isinstance(part, type) and issubclass(part, self.base)):
            expected = f"{self.base.__module__}:{self.base.__name__}"
            raise ConfigError(
                f"{name!r} is not a {self.kind}: expected a class derived from {expected}"
            )
        return part
