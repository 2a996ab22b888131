"""A set of labels per token, for tokens with several labels at once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mtl.errors import MtlError
from mtl.targets.base import TokenTarget, pad_tokens, per_token
from mtl.targets.label_set import SetTarget, read_set
from mtl.text.example import ABSENT, Labels


class TokenSetTarget(SetTarget, TokenTarget):
    """A set of labels per token, which may be empty; tokens may lack one.

    A label is predicted if its probability is above 0.5: thresholds are not fitted.

    >>> TokenSetTarget.read(["a|b", "_"], "|") == (frozenset("ab"), frozenset())
    True
    """

    name: ClassVar[str] = "token_sets"
    noun: ClassVar[str] = "sets per token"

    @classmethod
    def read(cls, value: Any, separator: str | None) -> Labels | None:
        """Return a set per token; "_" is the empty set and null a missing value."""
        return cls.known(
            None if item is None else _read(item, separator)
            for item in per_token(value, "a set of labels per token")
        )

    @classmethod
    def pack(cls, gold: Labels) -> list[str]:
        """Return each set as a JSON list."""
        return [json.dumps(item if item is None else sorted(item)) for item in cls.items(gold)]

    @classmethod
    def unpack(cls, strings: Sequence[str]) -> Labels:
        """Return the sets."""
        values = map(json.loads, strings)
        return tuple(None if value is None else frozenset(value) for value in values)

    @classmethod
    def names(cls, gold: Labels) -> Iterable[str]:
        """Return the labels of all tokens."""
        sets = cls.items(gold)
        if not all(item is None or isinstance(item, frozenset) for item in sets):
            raise MtlError(f"expected a set of labels per token, got {gold!r}")
        return [label for item in sets for label in item or ()]

    @classmethod
    def item_text(cls, item: Any) -> str:
        """Return the labels with bars between, or "_" for the empty set."""
        return "|".join(sorted(item or ())) or ABSENT

    @classmethod
    def plain_item(cls, item: Any) -> Any:
        """Return the labels in alphabetical order."""
        return None if item is None else sorted(item)

    def tensor(self, gold: Sequence[Labels | None], tokens: int) -> Tensor:
        """Return ones and zeros, `[B, T, K]`, NaN where a set is missing."""
        missing = [math.nan] * len(self.labels)
        rows = [
            None
            if value is None
            else [missing if item is None else self.row(item) for item in self.items(value)]
            for value in gold
        ]
        return torch.tensor(pad_tokens(rows, tokens, missing))


def _read(item: Any, separator: str | None) -> frozenset[str]:
    return frozenset() if item in ("", ABSENT) else read_set(item, separator)
