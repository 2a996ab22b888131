"""Parts by name: a table of the built-in parts, and `module:Class` for the user's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from mtl.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PartT = TypeVar("PartT")
OnImport: TypeAlias = "Callable[[str], None]"
"""Called with the name of a module before it is imported for a part of the user's own."""


def silently(module: str) -> None:
    """Allow the import of a module without a message."""


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

    def find(self, name: str, on_import: OnImport | None = None) -> type[PartT]:
        """Return the class with a name: one of the table, or the user's own as `module:Class`.

        Args:
            name: The name.
            on_import: Allows the import of the module of a part of the user's own. None: only
                modules that the program has imported already are searched.

        Raises:
            ConfigError: The name is unknown, and the message contains the nearest one; or the
                module may not be imported, or cannot be.
        """
        if ":" in name:
            return self._own(name, on_import)
        if name not in self._table:
            message = f"unknown {self.kind} {name!r}{did_you_mean(name, self)}"
            raise ConfigError(f"{message} (or your own, as module:Class)")
        return self._table[name]

    def _own(self, name: str, on_import: OnImport | None) -> type[PartT]:
        """Return a class of the user's own."""
        module, _, attribute = name.partition(":")
        # The name is checked first: an import runs the code of the module.
        if not all(map(str.isidentifier, [*module.split("."), attribute])):
            raise ConfigError(f"{name!r}: expected the name of a {self.kind}, or module:Class")
        if sys.modules.get(module) is None:
            if on_import is None:
                raise ConfigError(
                    f"the {self.kind} {name!r} is not part of mtl, so it is not imported for a run "
                    f"folder; if you trust the module {module!r}, add --trust (in Python: "
                    "trust=True)"
                )
            on_import(module)
            try:
                import_module(module)
            except Exception as error:  # the code of the module may raise any
                known = isinstance(error, ImportError)
                reason = str(error) if known else f"{type(error).__name__}: {error}"
                raise ConfigError(f"cannot import {self.kind} {name!r}: {reason}") from error
        # Not `getattr`, with which some packages import further modules.
        part = vars(sys.modules[module]).get(attribute)
        if not (isinstance(part, type) and issubclass(part, self.base)):
            expected = f"{self.base.__module__}:{self.base.__name__}"
            raise ConfigError(
                f"{name!r} is not a {self.kind}: expected a class derived from {expected}"
            )
        return part
