"""Ranges of values to search, which a run file may have in place of values.

`{search: [1.0e-4, 1.0e-2], log: true}` is a range of numbers, `{search: {choices: [gru, lstm]}}` a
list of values of any kind. The file is then a search space, for `mtl tune`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from mtl.config.document import SEARCH, Node
from mtl.config.explain import Problems, unknown_key
from mtl.errors import ConfigError, Place

_OPTIONS = ("log", "step")
_FORMS = "[low, high] or {choices: [...]}"


@dataclass(frozen=True)
class NumberRange:
    """All numbers between two numbers, which are included.

    Args:
        keys: The keys of the value in the run file.
        place: The place of the range.
        low: The lowest value.
        high: The highest value.
        log: Whether logarithms are drawn evenly, and not the numbers.
        step: The distance of the values to try; None: all numbers in between.
        whole: Whether only whole numbers are tried.
    """

    keys: tuple[str, ...]
    place: Place
    low: Node
    high: Node
    log: bool = False
    step: float | None = None
    whole: bool = False

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The values that are checked before the search."""
        return self.low, self.high

    def node(self, value: Any) -> Node:
        """Return the node of a value in the range."""
        return Node(value, self.place)

    def first(self) -> Any:
        """Return the lowest value."""
        return self.low.value

    def __str__(self) -> str:
        notes = ["whole numbers"] * self.whole + ["log"] * self.log
        notes += [] if self.step is None else [f"step {self.step}"]
        return ", ".join([f"{self.low.value} to {self.high.value}", *notes])


@dataclass(frozen=True)
class Choices:
    """A list of values.

    Args:
        keys: The keys of the value in the run file.
        place: The place of the range.
        by_label: A text for each value, which stands for it in tables.
    """

    keys: tuple[str, ...]
    place: Place
    by_label: Mapping[str, Node]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The values that are checked before the search."""
        return tuple(self.by_label.values())

    def node(self, value: Any) -> Node:
        """Return the node of a value, given by its label."""
        return self.by_label[value]

    def first(self) -> Any:
        """Return the label of the first value."""
        return next(iter(self.by_label))

    def __str__(self) -> str:
        return f"one of {', '.join(self.by_label)}"


Range: TypeAlias = NumberRange | Choices


def find_ranges(root: Node) -> dict[str, Range]:
    """Return the ranges of a run file by the dotted path of their keys.

    Raises:
        ConfigError: All errors in the notation of ranges. Whether an option accepts their values is
            not checked here.
    """
    problems = Problems()
    found: dict[str, Range] = {}
    for keys, node in _ranges(root, ()):
        made = _read_range(keys, node, problems)
        if made:
            found[".".join(keys)] = made
    problems.check()
    return found


def refuse_ranges(root: Node) -> None:
    """Raise a ConfigError if a file has ranges, for commands that need one run."""
    found = list(_ranges(root, ()))
    if found:
        keys, node = found[0]
        more = f", the first of {len(found)}" * (len(found) > 1)
        raise ConfigError(
            f"{node.place}: {'.'.join(keys)}: a range of values{more}; search the best one with "
            "mtl tune, or write one value"
        )


def with_values(root: Node, values: Mapping[tuple[str, ...], Node]) -> Node:
    """Return a tree with other values at some keys."""
    for keys, node in values.items():
        root = _replaced(root, keys, node)
    return root


def _replaced(node: Node, keys: tuple[str, ...], new: Node) -> Node:
    if not keys:
        # The layer is as before, since later files override earlier ones.
        return replace(new, key=node.key, layer=node.layer)
    children = {**node.value, keys[0]: _replaced(node.value[keys[0]], keys[1:], new)}
    return replace(node, value=children)


def _ranges(node: Node, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Node]]:
    """Yield the ranges of a tree with their keys."""
    if node.is_range:
        yield keys, node
    elif node.is_mapping:
        for name, child in node.value.items():
            yield from _ranges(child, (*keys, name))


def _read_range(keys: tuple[str, ...], node: Node, problems: Problems) -> Range | None:
    """Return a range, or None after errors."""
    path, before = ".".join(keys), problems.count
    found = node.value[SEARCH]
    options = {name: child for name, child in node.value.items() if name != SEARCH}
    for name, child in options.items():
        if name not in _OPTIONS:
            message = unknown_key(f"{path}.{name}", _OPTIONS)
            problems.add(child.key or child.place, f"{path}.{name}", message)
    if found.is_mapping:
        made = _choices(keys, node, problems)
        for name in options.keys() & set(_OPTIONS):
            message = f"{path}.{name}: has no effect on choices; leave it out"
            problems.add(options[name].place, f"{path}.{name}", message)
    else:
        made = _numbers(keys, node, problems)
    return made if problems.count == before else None


def _choices(keys: tuple[str, ...], node: Node, problems: Problems) -> Range | None:
    path, found = ".".join([*keys, SEARCH]), node.value[SEARCH]
    for name, child in found.value.items():
        if name != "choices":
            message = unknown_key(f"{path}.{name}", ["choices"])
            problems.add(child.key or child.place, f"{path}.{name}", message)
    listed = found.value["choices"]
    if not listed.is_list or len(listed.value) < 2:
        message = f"{path}.choices: expected a list of two values or more"
        problems.add(listed.place, f"{path}.choices", message)
        return None
    by_label: dict[str, Node] = {}
    for choice in listed.value:
        label = choice.value if isinstance(choice.value, str) else json.dumps(choice.plain())
        if label in by_label:
            problems.add(choice.place, path, f"{path}.choices: {label!r} is there twice")
        if inner := next(_ranges(choice, ()), None):
            message = f"{path}.choices: a range inside a choice is not supported"
            problems.add(inner[1].place, path, message)
        by_label[label] = choice
    return Choices(keys, node.place, by_label)


def _numbers(keys: tuple[str, ...], node: Node, problems: Problems) -> Range | None:
    path, found = ".".join(keys), node.value[SEARCH]
    ends = found.value if found.is_list else []
    if len(ends) != 2 or not all(_is_number(end.value) for end in ends):
        message = f"{path}.{SEARCH}: expected {_FORMS}; low and high are numbers"
        problems.add(found.place, f"{path}.{SEARCH}", message)
        return None
    low, high = ends
    if low.value >= high.value:
        message = f"{path}.{SEARCH}: expected low < high, got {low.value} and {high.value}"
        problems.add(found.place, f"{path}.{SEARCH}", message)
        return None
    log, step = (node.value.get(name) for name in _OPTIONS)
    wrong = ""
    if log and not isinstance(log.value, bool):
        wrong = "expected true or false"
    elif log and log.value and low.value <= 0:
        wrong = f"expected low above 0 for logarithms, got {low.value}"
    if log and wrong:
        problems.add(log.place, f"{path}.log", f"{path}.log: {wrong}")
        return None
    logarithmic = bool(log and log.value)
    if step:
        if logarithmic:
            wrong = "has no effect together with log; leave one of them out"
        elif not _is_number(step.value) or not _leads(low.value, high.value, step.value):
            wrong = f"expected a number that leads from {low.value} to {high.value} in equal steps"
        if wrong:
            problems.add(step.place, f"{path}.step", f"{path}.step: {wrong}")
            return None
    return NumberRange(keys, node.place, low, high, logarithmic, step.value if step else None)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _leads(low: float, high: float, step: float) -> bool:
    """Return whether a number of steps leads from one number to another."""
    steps = (high - low) / step if step > 0 else 0
    return steps >= 1 and math.isclose(steps, round(steps), rel_tol=1e-9)
