"""Trees of YAML files and Python values that keep the place of each value, and their merging.

Differences from YAML 1.1 as PyYAML reads it: `1e-3` is a number; `no`, `yes`, `on`, `off` and
dates are strings; a duplicate key is an error; tags are not supported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import yaml

from mtl.errors import ConfigError, Place, printable, shorten
from mtl.files import PACKAGE, exists, find_shipped, near_file

# YAML 1.1 reads `no` (Norway) as false and `1e-3` as a string, which surprises users.
IMPLICIT = {
    "tag:yaml.org,2002:null": (re.compile(r"(~|null|Null|NULL|)\Z"), "~nN\0"),
    "tag:yaml.org,2002:bool": (re.compile(r"(true|True|TRUE|false|False|FALSE)\Z"), "tTfF"),
    "tag:yaml.org,2002:int": (re.compile(r"[-+]?[0-9]+(_[0-9]+)*\Z"), "-+0123456789"),
    "tag:yaml.org,2002:float": (
        re.compile(r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF))\Z"),
        "-+.0123456789",
    ),
}
"""Tag to the pattern of its plain scalars and their first characters; others are strings."""

MAX_BYTES = 10 << 20
"""Largest size of a file in bytes."""
MAX_DEPTH = 50
"""Largest number of mappings and lists around a value."""
MAX_VALUES = 200_000
"""Largest number of values in a file, with all aliases expanded; 3,000 tasks have about 100,000."""
_LONG = 100_000
"""Number of characters up to which a text with an error is parsed again for a better message."""

SEARCH = "search"
"""The key of a range of values to search; see `mtl.config.search`."""

_READ: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": lambda text: float(text.lower().replace(".inf", "inf")),
    "tag:yaml.org,2002:str": str,
}


class DocumentError(ConfigError):
    """An error at one place of a document.

    Args:
        place: File, line and column.
        message: The value found, the values expected, and the remedy.
    """

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(f"{place}: {shorten(printable(message), 2000)}")
        self.place = place
        self.message = message


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place in a file.

    Args:
        value: None, bool, int, float, str, a list of nodes, or a dict from string to node.
        place: The start of the value.
        key: The start of its key, for a value of a mapping.
        layer: Index of the document in the order of merging; a higher layer overrides a lower one.
        before: The value that this one replaced in merging, or None.
    """

    value: Any
    place: Place
    key: Place | None = None
    layer: int = 0
    before: Node | None = None

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        return [child.plain() for child in self.value] if self.is_list else self.value

    @property
    def is_mapping(self) -> bool:
        """Whether the value is a mapping."""
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        """Whether the value is a list."""
        return isinstance(self.value, list)

    @property
    def children(self) -> list[Node]:
        """The nodes inside, of a mapping or a list."""
        if isinstance(self.value, dict):
            return list(self.value.values())
        return self.value if isinstance(self.value, list) else []

    @property
    def is_range(self) -> bool:
        """Whether the value is a range to search, and not a mapping with a name `search`."""
        found = self.value.get(SEARCH) if isinstance(self.value, dict) else None
        if found is None or isinstance(found.value, str):
            return False
        return "choices" in found.value if isinstance(found.value, dict) else True

    @property
    def folder(self) -> Path:
        """The folder of relative paths: of the file, or the current folder for overrides."""
        # Values of the command line and of Python have no line.
        return Path(self.place.path).parent if self.place.line else Path()

    @property
    def height(self) -> int:
        """The highest layer in the tree."""
        return max([self.layer, *(child.height for child in self.children)])


class _Loader(yaml.SafeLoader):
    """Resolves scalars by the implicit types of `IMPLICIT`, not PyYAML's."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own attribute)


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same by libyaml, which is ten times faster, and says less about errors."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own attribute)


# PyYAML files empty scalars under the first character "", which IMPLICIT writes as "\0".
for _tag, (_pattern, _first) in IMPLICIT.items():
    for _loader in (_Loader, _FastLoader):
        _loader.add_implicit_resolver(_tag, _pattern, ["" if c == "\0" else c for c in _first])


def load(path: Path) -> Node:
    """Read a YAML file, merged over the files it `extends`.

    Raises:
        DocumentError: A file is missing, empty, binary, not valid YAML, or extends itself.
    """
    layers: dict[Path, Node] = {}
    _collect(path, (), layers)
    return reduce(merge, layers.values())


def from_python(config: Mapping[str, Any]) -> Node:
    """Return the tree of a dictionary, merged over the files that it `extends`.

    The place of each value is its path of keys: `config['trunk']['dropout']`. Relative paths start
    at the current folder.

    Raises:
        DocumentError: A value is not a number, a string, a list, a dictionary or None; a file is
            wrong, as for `load`; or the dictionary is empty.
    """
    try:
        node = python_node(config, lambda keys: Place("".join(["config", *keys])))
    except RecursionError:
        raise DocumentError(Place("config"), "nested too deeply") from None
    if not node.value:
        raise DocumentError(node.place, "the dictionary is empty; expected keys and values")
    layers: dict[Path, Node] = {}
    _collect_bases(node, Path(), (), layers)
    return reduce(merge, [*layers.values(), node])


def python_node(
    value: Any, place: Callable[[Iterable[str]], Place], keys: tuple[str, ...] = ()
) -> Node:
    """Return the tree of a Python value.

    Args:
        value: The value.
        place: Makes the place of a value from its keys, each as `['name']` or `[0]`.
        keys: The keys of the value.

    Raises:
        DocumentError: A value has another type than values of YAML have.
    """
    at = place(keys)
    if isinstance(value, Mapping):
        inside = {
            str(key): python_node(child, place, (*keys, f"[{key!r}]"))
            for key, child in value.items()
        }
        return Node({key: replace(n, key=n.place) for key, n in inside.items()}, at)
    if isinstance(value, list | tuple):
        items = enumerate(value)
        return Node([python_node(item, place, (*keys, f"[{i}]")) for i, item in items], at)
    if isinstance(value, PathLike):
        value = fspath(value)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise DocumentError(at, f"an incomplete character in {value[:20]!a}") from None
    if value is None or isinstance(value, bool | int | float | str):
        return Node(value, at)
    kind = type(value).__name__
    raise DocumentError(at, f"expected a number, a string, a list or a dict, got {kind}")


def _collect(path: Path, trail: tuple[Path, ...], layers: dict[Path, Node]) -> None:
    """Add the files that a file extends to `layers`, then the file; each file once."""
    node = read(path)
    _collect_bases(node, path.parent, (*trail, path), layers)
    layers[path.resolve()] = node


def _collect_bases(
    node: Node, folder: Path, trail: tuple[Path, ...], layers: dict[Path, Node]
) -> None:
    """Add the files that a document extends to `layers`, and remove the key `extends`."""
    # Two files may extend the same base; only a file among its own bases is an error.
    extends = node.value.pop("extends", Node([], node.place))
    for name in extends.value if extends.is_list else [extends]:
        if not isinstance(name.value, str):
            raise DocumentError(name.place, "extends: expected a file or a list of files")
        base = Path(os.path.normpath(folder / name.value))
        if not exists(base, Path.is_file):
            shipped = find_shipped(Path(name.value), "configs")
            if not exists(shipped, Path.is_file):
                raise DocumentError(
                    name.place, f"extends: no such file: {shorten(printable(str(base)))}"
                )
            base = shipped
        if base.resolve() in [above.resolve() for above in trail]:
            circle = " -> ".join(map(str, (*trail, base)))
            raise DocumentError(name.place, f"extends: a file extends itself: {circle}")
        if base.resolve() not in layers:
            _collect(base, trail, layers)


def read(path: Path) -> Node:
    """Read one YAML file with a mapping, without the files that it extends."""
    place = Place(str(path))
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        near = near_file(path)
        if not path.suffix and path.name:  # a run by its name, perhaps one of the package
            name = f"{path.name}.yaml"
            near = near_file(path.with_name(name)) or near_file(PACKAGE / "configs" / name)
        raise DocumentError(place, f"no such file{near}") from None
    except (OSError, ValueError) as error:  # a name with NUL is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise DocumentError(place, f"cannot be read: {reason}") from None
    if len(data) > MAX_BYTES:
        raise DocumentError(place, f"too large; at most {MAX_BYTES >> 20} MB are read")
    try:
        text = data.decode("utf-8-sig")  # without a byte order mark
    except UnicodeDecodeError as error:
        place = Place(str(path), data.count(b"\n", 0, error.start) + 1)
        raise DocumentError(place, "not UTF-8 text; save the file as UTF-8") from None
    if "\0" in text:
        raise DocumentError(place, "a binary file; expected YAML text")
    node = parse(text, str(path))
    if node is None or node.value is None:
        raise DocumentError(place, "the file is empty; expected keys and values")
    if not node.is_mapping:
        raise DocumentError(node.place, "expected keys and values (`key: value`)")
    return node


def parse(text: str, name: str) -> Node | None:
    """Return the tree of a YAML text, or None if the text is empty.

    Args:
        text: The YAML text.
        name: The path of the file, for error messages.

    Raises:
        DocumentError: The text is not valid YAML, or exceeds `MAX_DEPTH` or `MAX_VALUES`.
    """
    try:
        try:
            return _Composer(_FastLoader(text), name).document()
        except yaml.MarkedYAMLError:
            if len(text) > _LONG:
                raise
        except yaml.reader.ReaderError:
            pass
        return _Composer(_Loader(text), name).document()  # for its error message
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"character {chr(error.character)!r} is not allowed in YAML"
        raise DocumentError(Place(name, line), message) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        place = _place(mark, name) if mark else Place(name)
        raise DocumentError(place, f"not valid YAML: {message}") from None


def _place(mark: Any, name: str) -> Place:
    return Place(name, mark.line + 1, mark.column + 1)


class _Composer:
    """Builds the tree of a document from the events of a parser.

    An alias is the node of its anchor, and counts as often as it is used: a few lines of aliases
    to aliases would otherwise describe billions of values.

    Args:
        loader: The parser.
        name: The path of the file, for error messages.
    """

    def __init__(self, loader: Any, name: str) -> None:
        self.loader = loader
        self.name = name
        self.count = 0
        # Anchor to its node and the number of values in it; its place as long as it is incomplete.
        self.anchors: dict[str, tuple[Node, int] | Place] = {}

    def document(self) -> Node | None:
        """Return the only document, or None if there is none."""
        self.loader.get_event()
        if self.loader.check_event(yaml.StreamEndEvent):
            return None
        self.loader.get_event()
        root = self._node(0)
        self.loader.get_event()
        if not self.loader.check_event(yaml.StreamEndEvent):
            message = "expected a single document in the stream, but found another document"
            place = self._place(self.loader.get_event())
            raise DocumentError(place, f"not valid YAML: {message}")
        return root

    def _place(self, event: yaml.Event) -> Place:
        return _place(event.start_mark, self.name)

    def _node(self, depth: int) -> Node:
        """Return the value that begins with the next event."""
        event = self.loader.get_event()
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place)
        self._add(1, place)
        if depth > MAX_DEPTH:
            raise DocumentError(Place(self.name), "nested too deeply")
        before = self.count
        if event.anchor is not None:
            self.anchors[event.anchor] = place
        if isinstance(event, yaml.ScalarEvent):
            tag = event.tag
            if tag in (None, "!"):
                tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)
            value = _scalar(tag, event.value, place)
        elif event.tag not in (None, "!"):
            raise _no_tags(event.tag, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not self.loader.check_event(yaml.SequenceEndEvent):
                value.append(self._node(depth + 1))
            self.loader.get_event()
        else:
            value = self._mapping(depth)
        node = Node(value, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = node, 1 + self.count - before
        return node

    def _mapping(self, depth: int) -> dict[str, Node]:
        children: dict[str, Node] = {}
        while not self.loader.check_event(yaml.MappingEndEvent):
            event = self.loader.get_event()
            at = self._place(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise DocumentError(at, "expected a plain word as key")
            key = event.value
            if key in children:
                message = f"duplicate key {key!r}, first at {children[key].key}"
                raise DocumentError(at, f"{message}; remove one of them")
            children[key] = replace(self._node(depth + 1), key=at)
        self.loader.get_event()
        return children

    def _alias(self, event: yaml.AliasEvent, place: Place) -> Node:
        if event.anchor not in self.anchors:
            raise DocumentError(place, f"not valid YAML: found undefined alias {event.anchor!r}")
        known = self.anchors[event.anchor]
        if isinstance(known, Place):
            raise DocumentError(known, "a value that contains itself")
        self._add(known[1], place)
        return known[0]

    def _add(self, number: int, place: Place) -> None:
        self.count += number
        if self.count > MAX_VALUES:
            raise DocumentError(place, f"too long; at most {MAX_VALUES:,} values are read")


def _no_tags(tag: str, place: Place) -> DocumentError:
    return DocumentError(place, f"tags such as {tag!r} are not supported; write a plain value")


def _scalar(tag: str, text: str, place: Place) -> Any:
    if tag not in _READ:
        raise _no_tags(tag, place)
    try:
        text.encode()  # an escape such as "\ud83d" is an incomplete character
        return _READ[tag](text)
    except ValueError:
        kind, shown = tag.rpartition(":")[2], ascii(text[:20])
        raise DocumentError(place, f"cannot be read as {kind}: {shown}") from None


def merge(base: Node, over: Node) -> Node:
    """Merge `over` into `base`: mappings are merged key by key, other values are replaced.

    A mapping over a string keeps the string as its `type`, since `sharing: hard` is short for
    `sharing: {type: hard}`. A range to search is one value, although it is a mapping. Every node of
    `over` gets a higher layer than all nodes of `base`.
    """
    return _overlay(base, _lift(over, base.height + 1))


def _lift(node: Node, by: int) -> Node:
    """Add to the layers of a tree; the order of the layers inside it is kept."""
    value = node.value
    if isinstance(value, dict):
        value = {key: _lift(child, by) for key, child in value.items()}
    elif isinstance(value, list):
        value = [_lift(child, by) for child in value]
    return replace(node, value=value, layer=node.layer + by)


def _overlay(base: Node, over: Node) -> Node:
    if not over.is_mapping or over.is_range or base.is_range:
        return replace(over, before=base)
    if isinstance(base.value, str) and "type" not in over.value:
        return replace(over, value={"type": base, **over.value})
    if not base.is_mapping:
        return over
    children = dict(base.value)
    for key, child in over.value.items():
        children[key] = _overlay(children[key], child) if key in children else child
    # An override changes a single value; errors about the mapping should point into its file.
    at = over if over.place.line else base
    return Node(children, at.place, at.key, over.layer)
