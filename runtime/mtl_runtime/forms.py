"""The forms of values that tasks predict, as users see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mtl_runtime._mtl.text.example import ABSENT

Kind = Literal["label", "set", "number", "distribution"]

_VALUES: Mapping[str, str] = {
    "label": "labels",
    "set": "sets",
    "number": "numbers",
    "distribution": "distributions",
}


@dataclass(frozen=True)
class Form:
    """The values of a task; see the targets of mtl, whose methods have the same names.

    Args:
        kind: A label, a set of labels, a number, or a distribution over labels.
        level: Whether each token or each sentence has a value.
        labels: The names of the labels.
    """

    kind: Kind
    level: Literal["token", "sentence"]
    labels: tuple[str, ...]

    @property
    def values(self) -> str:
        """The kind of value, in the plural."""
        return _VALUES[self.kind]

    @property
    def noun(self) -> str:
        """The name of the values in messages, in the plural."""
        if self.kind == "distribution":
            return "soft labels"
        return self.values + " per token" * (self.level == "token" and self.kind != "label")

    def plain(self, value: Any) -> Any:
        """Return a prediction made of JSON types."""
        if self.level == "sentence":
            return self._plain_item(value)
        return list(value if self.kind in ("label", "number") else map(self._plain_item, value))

    def _plain_item(self, item: Any) -> Any:
        if item is None:
            return None
        if self.kind == "set":
            return sorted(item)
        if self.kind == "distribution":
            return {label: round(number, 6) for label, number in item.items()}
        return item

    def item_text(self, item: Any) -> str:
        """Return the value of one sentence or token on one line, for a person."""
        if item is None:
            return ABSENT
        if self.kind == "set":
            if self.level == "token":
                return "|".join(sorted(item)) or ABSENT
            return ", ".join(sorted(item))
        if self.kind == "number":
            return f"{item:.6g}"
        if self.kind == "distribution":
            ordered = sorted(item.items(), key=lambda pair: -pair[1])
            return ",".join(f"{label}={number:.4f}" for label, number in ordered)
        return str(item)

    def text(self, value: Any) -> str:
        """Return a prediction on one line, for a person."""
        if self.level == "sentence":
            return self.item_text(value)
        return " ".join(map(self.item_text, value))
