"""A number per token, such as a reading time or a frequency."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from mtl.errors import MtlError
from mtl.targets.base import BuildContext, TokenTarget, pad_tokens, per_token
from mtl.targets.number import ScaledTarget, read_number
from mtl.text.example import ABSENT, Labels


class TokenNumberTarget(ScaledTarget, TokenTarget):
    """A number per token; tokens may lack one.

    >>> TokenNumberTarget.read(["1.5", "_"], None)
    (1.5, None)
    """

    name: ClassVar[str] = "token_numbers"
    noun: ClassVar[str] = "numbers per token"

    @classmethod
    def read(cls, value: Any, separator: str | None) -> Labels | None:
        """Return a number per token; "_", an empty string, NaN and null are missing values."""
        return cls.known(
            None if item == ABSENT else read_number(item)
            for item in per_token(value, "a number per token")
        )

    @classmethod
    def pack(cls, gold: Labels) -> list[str]:
        """Return each number as JSON, with all its digits."""
        return [json.dumps(item) for item in cls.items(gold)]

    @classmethod
    def unpack(cls, strings: Sequence[str]) -> Labels:
        """Return the numbers."""
        return tuple(map(json.loads, strings))

    @classmethod
    def build(cls, gold: Iterable[Labels], context: BuildContext) -> Self:
        """Measure mean and standard deviation of the training data."""
        numbers = [item for value in gold for item in cls._numbers(value) if item is not None]
        if not numbers:
            raise MtlError("no token of the training data has a number")
        return cls.of(numbers)

    @classmethod
    def _numbers(cls, gold: Labels) -> Sequence[float | None]:
        items = cls.items(gold)
        if not all(item is None or isinstance(item, float) for item in items):
            raise MtlError(f"expected a number per token, got {gold!r}")
        return items

    @classmethod
    def item_text(cls, item: Any) -> str:
        """Return the number with six significant digits."""
        return ABSENT if item is None else super().item_text(item)

    def tensor(self, gold: Sequence[Labels | None], tokens: int) -> Tensor:
        """Return the numbers, `[B, T, 1]`, NaN where missing."""
        rows = [
            None
            if value is None
            else [[math.nan if item is None else item] for item in self._numbers(value)]
            for value in gold
        ]
        return torch.tensor(pad_tokens(rows, tokens, [math.nan]))
