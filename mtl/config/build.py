"""Build checked values from the tree of a document, and collect all errors on the way."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from mtl.config.document import Node
from mtl.config.explain import Problems, show, unknown_key, wrong_value
from mtl.config.parts import Kind, Part, Settings
from mtl.config.paths import file_mark, find_file
from mtl.errors import ConfigError
from mtl.options import REQUIRED, File, part_options
from mtl.registry import OnImport, Registry

Kinds = Mapping[str, Registry[Any]]
"""Kind of part (embedding, trunk, sharing, head, weighting, …) to its registry."""
SettingsT = TypeVar("SettingsT", bound=Settings)


def alternatives_of(annotation: Any) -> tuple[list[Any], list[Any]]:
    """Return the alternatives of a type without null, and their annotations (`Annotated`)."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        alternatives, marks = alternatives_of(arguments[0])
        return alternatives, [*arguments[1:], *marks]
    if origin in (Union, types.UnionType):
        pairs = [alternatives_of(argument) for argument in arguments]
        return [a for pair in pairs for a in pair[0]], [m for pair in pairs for m in pair[1]]
    return [] if annotation is type(None) else [annotation], []


def kind_of(annotation: Any) -> Kind | None:
    """Return the `Kind` annotation of a type, or None if the type is not a part."""
    return next((m for m in alternatives_of(annotation)[1] if isinstance(m, Kind)), None)


class Builder:
    """Builds settings, parts and plain values from nodes.

    Methods add errors to `problems` instead of raising them, so that a user sees all errors of a
    file at once. A return value is only valid if `problems.count` has not changed.

    Args:
        kinds: The registries.
        must_exist: Whether the files that a value names must exist.
        on_import: Allows the import of parts of the user's own; see `Registry.find`.
    """

    def __init__(
        self, kinds: Kinds, *, must_exist: bool, on_import: OnImport | None = None
    ) -> None:
        self.kinds = kinds
        self.must_exist = must_exist
        self.on_import = on_import
        self.problems = Problems()

    def settings(self, cls: type[SettingsT], node: Node, path: str) -> SettingsT | None:
        """Build a settings model.

        Args:
            cls: The model class.
            node: The mapping in the file.
            path: The dotted path of the mapping, for error messages; empty for a whole file.
        """
        before = self.problems.count
        values = self.fields(cls, node, path)
        return self.finish(cls, values, node, path) if self.problems.count == before else None

    def fields(
        self, cls: type[Settings], node: Node, path: str, *, but: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Build the fields of a model that are in the file, and parts with a default.

        Args:
            cls: The model class.
            node: The mapping in the file.
            path: The dotted path of the mapping, for error messages; empty for a whole file.
            but: Fields to skip, because the caller builds them.
        """
        if not node.is_mapping and not (cls.shorthand and isinstance(node.value, str)):
            self.mapping(node, path)
            return {}
        children = self._written(cls, node, path)
        hints = _hints(cls)
        names = [name for name, field in cls.model_fields.items() if not field.exclude]
        self.refuse_unknown(children, names, path)
        values = {}
        for name in names:
            child, inside = children.get(name), join(path, name)
            kind = kind_of(hints[name])
            if name in but:
                continue
            if child is not None and (child.value is not None or _optional(hints[name])):
                values[name] = self.value(hints[name], child, inside)
            elif kind and kind.default and not _optional(hints[name]):
                # A default part gets all its options written out, so that run.yaml is complete.
                values[name] = self.part(kind, Node({}, node.place), inside)
            elif cls.model_fields[name].is_required():
                self.missing(node, inside)
        return values

    def missing(self, node: Node, path: str) -> None:
        """Add the error that a mapping lacks a key."""
        self.problems.add(node.place, path, f"missing key {path!r}")

    def _written(self, cls: type[Settings], node: Node, path: str) -> dict[str, Node]:
        """Return the entries of a mapping, without alternatives that a later file has replaced."""
        if cls.shorthand and isinstance(node.value, str):
            return {cls.shorthand: node}
        children = self.mapping(node, path)
        if cls.shorthand and "type" in children and children["type"].layer < node.layer:
            # `merge` keeps a short form under `type` when a mapping is merged over it.
            children = {cls.shorthand: children.pop("type"), **children}
        # `batch: {streams: 8}` over an extended `batch: {max_tokens: 512}` replaces it. Two
        # alternatives in the same file remain, and are an error.
        present = [n for n in cls.alternatives if n in children and children[n].value is not None]
        newest = max((children[name].layer for name in present), default=0)
        outdated = [name for name in present if children[name].layer < newest]
        theirs = {key for name in outdated for key in cls.belonging.get(name, ())}
        return {
            name: child
            for name, child in children.items()
            if name not in outdated and not (name in theirs and child.layer < newest)
        }

    def finish(
        self, cls: type[SettingsT], values: dict[str, Any], node: Node, path: str
    ) -> SettingsT | None:
        """Build a model from its fields, and check that they fit together."""
        try:
            return cls(**values)
        except ValidationError as error:
            # Single fields are checked already, so only `Misfit` of a model validator remains.
            for item in error.errors():
                misfit = item["ctx"]["error"]
                at = node.value.get(misfit.field, node)
                inside = join(path, misfit.field)
                self.problems.add(at.place, inside, f"{inside}: {misfit}")
            return None

    def mapping(self, node: Node, path: str) -> dict[str, Node]:
        """Return the entries of a mapping; add an error and return {} for another value."""
        if isinstance(node.value, dict):
            return dict(node.value)
        self.problems.add(node.place, path, wrong_value(path, dict, node))
        return {}

    def refuse_unknown(self, children: Mapping[str, Node], known: Iterable[str], path: str) -> None:
        """Add an error for each unknown key."""
        for name, child in children.items():
            if name not in known:
                inside = join(path, name)
                # The key is wrong, not its value, so the error points to the key.
                self.problems.add(child.key or child.place, inside, unknown_key(inside, known))

    def value(self, annotation: Any, node: Node, path: str) -> Any:
        """Build the value of a field."""
        if node.value is None:
            return None
        if kind := kind_of(annotation):
            return self.part(kind, node, path)
        # Unions contain at most one structured type, and it comes first.
        first = alternatives_of(annotation)[0][0]
        if isinstance(first, type) and issubclass(first, Settings):
            return self.settings(first, node, path)
        if get_origin(first) is not dict:
            return self.leaf(annotation, node, path)
        key_type, value_type = get_args(first)
        children = self.mapping(node, path)
        if choices := get_args(key_type):
            self.refuse_unknown(children, choices, path)
        return {
            name: self.value(value_type, child, join(path, name))
            for name, child in children.items()
            if child.value is not None  # null removes an entry of an extended file
        }

    def leaf(self, annotation: Any, node: Node, path: str, *, bits: int = 63) -> Any:
        """Build a value of plain type: a number, a string, a list of numbers, and so on.

        Args:
            annotation: The type.
            node: The value in the file.
            path: The dotted path of the value, for error messages.
            bits: The number of bits of the largest whole number.
        """
        try:
            value = _read(annotation, node.plain())
        except ValidationError as error:
            locations = [item["loc"] for item in error.errors()]
            if node.is_mapping:  # of a union, only the alternative that is a mapping matters
                inner = [where for where in locations if any(step in node.value for step in where)]
                locations = inner or locations
            for location in locations:
                self._explain(annotation, node, path, location)
            return None
        numbers = list(_numbers(value))
        if not all(math.isfinite(number) for number in numbers if isinstance(number, float)):
            message = f"{path}: expected finite numbers, got {show(node)}"
            self.problems.add(node.place, path, message)
            return None
        if any(isinstance(number, int) and abs(number) >= 2**bits for number in numbers):
            message = f"{path}: expected whole numbers below 2^{bits}, got {show(node)}"
            self.problems.add(node.place, path, message)
            return None
        mark = file_mark(annotation)
        return self._find_files(node, path, mark) if mark else value

    def _explain(
        self, annotation: Any, node: Node, path: str, steps: tuple[int | str, ...]
    ) -> None:
        """Add an error for a wrong value, at the wrong item of a list or mapping if possible."""
        # In a union, the location of pydantic's error depends on the alternatives that it tried.
        alternatives, _ = alternatives_of(annotation)
        if len(alternatives) > 1 and node.is_mapping:
            alternatives = [
                own
                for own in alternatives
                if isinstance(kind := get_origin(own), type) and issubclass(kind, Mapping)
            ]
            steps = steps[next((i for i, step in enumerate(steps) if step in node.value), 0) :]
        arguments = get_args(alternatives[0]) if len(alternatives) == 1 else ()
        if steps and arguments and node.children:
            index = steps[0]
            items = node.value if node.is_mapping else dict(enumerate(node.value))
            inner = items.get(index)  # a missing item has no place in the file
            if inner:
                inside = join(path, str(index))
                return self._explain(arguments[node.is_mapping], inner, inside, steps[1:])
        self.problems.add(node.place, path, wrong_value(path, annotation, node))
        return None

    def _find_files(self, node: Node, path: str, mark: File) -> Any:
        """Return a value with its paths made absolute."""
        if isinstance(node.value, dict):
            return {key: self._find_files(child, path, mark) for key, child in node.value.items()}
        if isinstance(node.value, list):
            return [self._find_files(child, path, mark) for child in node.value]
        if not isinstance(node.value, str):
            return node.value
        try:
            return find_file(node, self.must_exist, mark)
        except ConfigError as error:
            self.problems.add(node.place, path, f"{path}: {error}")
            return None

    def part(self, kind: Kind, node: Node, path: str) -> Part | None:
        """Build a part with all its options."""
        if isinstance(node.value, str):
            node = replace(node, value={"type": node})
        elif kind.number and type(node.value) in (int, float):
            node = replace(node, value={kind.number: node})
        before = self.problems.count
        children = self.mapping(node, path)
        if self.problems.count > before:
            return None
        default = None if kind.bare and children else kind.default
        written = children.pop("type", Node(default, node.place))
        cls = self._class(kind, written, node, path)
        if cls is None:
            return None
        options = part_options(cls)
        known = {key: child for key, child in children.items() if key in options}
        unknown = {key: child for key, child in children.items() if key not in options}
        # If this file changes the type of an extended part, options of the former type are
        # dropped silently; options that no part of the kind has remain errors.
        inherited = {key for key, child in unknown.items() if child.layer < written.layer}
        if inherited:
            inherited &= self._options_of_others(kind, written)
        self.refuse_unknown({k: unknown[k] for k in unknown.keys() - inherited}, options, path)
        values = {}
        for name, option in options.items():
            inside = join(path, name)
            if name in known:
                # Options become sizes of tensors, and products of sizes must not exceed 64 bits.
                values[name] = self.leaf(option.annotation, known[name], inside, bits=48)
            elif option.default is REQUIRED:
                self.missing(node, inside)
            else:
                values[name] = _read(option.annotation, option.default)
        return Part(type=written.value, options=values) if self.problems.count == before else None

    def _class(self, kind: Kind, written: Node, node: Node, path: str) -> type | None:
        registry = self.kinds[kind.name]
        if written.value is None:
            names = ", ".join(sorted(registry))
            message = f"missing key '{path}.type'; expected one of: {names}"
            self.problems.add(node.place, f"{path}.type", message)
        elif not isinstance(written.value, str):
            message = wrong_value(f"{path}.type", str, written)
            self.problems.add(written.place, f"{path}.type", message)
        else:
            try:
                return registry.find(written.value, self.on_import)
            except ConfigError as error:
                self.problems.add(written.place, f"{path}.type", f"{path}: {error}")
        return None

    def _options_of_others(self, kind: Kind, written: Node) -> set[str]:
        """Return the option names of all parts of a kind, and of the part's former types."""
        classes = [cls for _, cls in self.kinds[kind.name].items()]
        # Former types may be classes of the user, which are in no registry.
        while written.before:
            written = written.before
            with suppress(ConfigError):
                classes.append(self.kinds[kind.name].find(str(written.value), self.on_import))
        return {name for cls in classes for name in part_options(cls)}


def join(path: str, name: str) -> str:
    """Return the dotted path of a key."""
    return f"{path}.{name}" if path else name


@cache
def _hints(cls: type[Settings]) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _read(annotation: Any, value: Any) -> Any:
    """Convert a value to a type; the JSON mode of pydantic accepts a list for a tuple."""
    return TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)


def _numbers(value: Any) -> Iterator[float]:
    """Yield the numbers in a value of plain type."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float):
        yield value


def _optional(annotation: Any) -> bool:
    return type(None) in get_args(annotation)
