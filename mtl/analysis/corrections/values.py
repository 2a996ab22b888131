"""New values of the cells that contain labels."""

from __future__ import annotations

import re

from mtl.analysis.audit.issues import Change
from mtl.config.corpus import SourceConfig
from mtl.text.example import ABSENT


def new_value(value: str, change: Change, source: SourceConfig) -> str:
    """Return the text of a cell with another label.

    Only the label changes: the group of a pattern, the value of a key such as `Number=Sing`, or the
    items of a set, whose other items keep their order.

    Args:
        value: The text of the cell, without the blanks around it.
        change: The label to replace.
        source: The source of the labels.

    Raises:
        ValueError: The cell does not contain the old label, or cannot contain the new one.
    """
    if isinstance(change.new, list) or isinstance(change.old, list):
        return _new_set(value, change, source.separator)
    start, end = 0, len(value)
    if source.kind in ("feature", "misc"):
        start, end = _value_of_key(value, source.key)
    before, after = start, len(value) - end
    if source.pattern is not None:
        match = re.search(source.pattern, value[start:end])
        if match is None or match.start(1) < 0:
            raise ValueError(f"expected {change.old!r}, found {value!r}")
        start, end = start + match.start(1), start + match.end(1)
    if value[start:end] != change.old:
        raise ValueError(f"expected {change.old!r}, found {value[start:end]!r}")
    if not change.new.strip():
        raise ValueError("the new label is empty")
    result = value[:start] + change.new + value[end:]
    if source.pattern is not None:
        match = re.search(source.pattern, result[before : len(result) - after])
        if match is None or match[1] != change.new:
            raise ValueError(f"the pattern {source.pattern!r} does not find {change.new!r}")
    return result


def _value_of_key(value: str, key: str) -> tuple[int, int]:
    """Return the start and the end of the value of a key in `Number=Sing|Person=3`."""
    place = 0
    for pair in value.split("|"):
        name, equals, _ = pair.partition("=")
        if name == key and equals:
            return place + len(name) + 1, place + len(pair)
        place += len(pair) + 1
    raise ValueError(f"{value!r} has no {key!r}; add it by hand")


def new_items(old: list[str], change: Change) -> list[str]:
    """Return the items of a set after a change: the kept ones in their order, then the new ones.

    Raises:
        ValueError: The items differ from the old set.
    """
    if not (isinstance(change.old, list) and isinstance(change.new, list)):
        raise ValueError(f"expected a label, found the set {', '.join(old) or '(empty)'}")
    if set(old) != set(change.old):
        raise ValueError(f"expected {', '.join(change.old)}, found {', '.join(old)}")
    kept = [item for item in old if item in change.new]
    return kept + [item for item in change.new if item not in old]


def _new_set(value: str, change: Change, separator: str | None) -> str:
    items = [item.strip() for item in value.split(separator)] if separator else [value]
    new = new_items([item for item in items if item and item != ABSENT], change)
    if len(new) > 1 and separator is None:
        raise ValueError("several labels need a `separator:`")
    if separator and any(separator in item for item in new):
        raise ValueError(f"a label contains the separator {separator!r}")
    # Blanks after separators stay as they are, such as "a; b".
    blank = " " if separator and f"{separator} " in value else ""
    return f"{separator}{blank}".join(new)
