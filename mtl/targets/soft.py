"""Soft labels: a distribution over labels per sentence or per token.

They hold the disagreement of annotators (Uma et al. 2021) or the output of another model, from
which a smaller one is distilled (Hinton et al. 2015).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from mtl.errors import MtlError
from mtl.targets.base import (
    SentenceTarget,
    TokenTarget,
    pad_tokens,
    per_token,
)
from mtl.targets.label import ListedTarget
from mtl.targets.objectives import Objective, frequencies
from mtl.text.example import ABSENT, Distribution, Labels, Values


class SoftLabel(Objective):
    """A distribution q over K labels: loss = KL(q ‖ p) with p = softmax(s), in nats.

    It differs from the cross-entropy only by the entropy of q, so the gradients are equal and a
    perfect prediction costs nothing. Targets are `[N, K]`, and each row sums to one.

    Args:
        labels: The K label names.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(labels, len(labels))

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the divergence."""
        return functional.kl_div(scores.log_softmax(1), target, reduction="none").sum(1)

    def decode(self, scores: Tensor) -> Tensor:
        """Return the predicted distributions, `[N, K]`."""
        return scores.softmax(1)

    def log_probs(self, scores: Tensor) -> Tensor:
        """Return `[N, K]`; the probabilities of a row sum to one."""
        return scores.log_softmax(1)

    def start(self, counts: Tensor, number: float) -> Tensor:
        """Return the logarithms of the frequencies."""
        return frequencies(counts, number).log()

    def named(self, decoded: Tensor) -> list[Distribution]:
        """Return label to probability for each row."""
        return [dict(zip(self.labels, row, strict=True)) for row in decoded.tolist()]


class SoftTarget(ListedTarget):
    """The shared part of the targets of soft labels.

    Args:
        labels: The label names; sorted here.
    """

    values: ClassVar[Values] = "distributions"
    has_items: ClassVar[bool] = True

    def row(self, item: Distribution) -> list[float]:
        """Return the probability of each label that occurs in the training data.

        >>> SoftLabelTarget(["a", "b"]).row({"b": 1.0})
        [0.0, 1.0]
        """
        return [item.get(label, 0.0) for label in self.labels]

    @property
    def missing(self) -> list[float]:
        """The row of a sentence or token without a distribution."""
        return [math.nan] * len(self.labels)

    def labelling(self) -> SoftLabel:
        """Return the objective."""
        return SoftLabel(self.labels)

    @classmethod
    def plain_item(cls, item: Any) -> Any:
        """Return label to probability, with six decimal places."""
        return item and {label: round(number, 6) for label, number in item.items()}

    @classmethod
    def item_text(cls, item: Any) -> str:
        """Return the labels with their probabilities, the most probable first."""
        if item is None:
            return ABSENT
        ordered = sorted(item.items(), key=lambda pair: -pair[1])
        return ",".join(f"{label}={number:.4f}" for label, number in ordered)


def read_distribution(value: Any, separator: str | None) -> Distribution:
    """Return probabilities for an object of label to number, or a string `a=3|b=1`.

    Numbers may be votes: they are divided by their sum. Labels of weight zero are left out.

    Raises:
        ValueError: The value has another form, a number is negative, or the sum is zero.
    """
    numbers = _pairs(value, separator) if isinstance(value, str) else value
    if not isinstance(numbers, dict) or not all(
        label and type(number) in (int, float) for label, number in numbers.items()
    ):
        raise ValueError(
            f'expected an object of label to number such as {{"a": 3, "b": 1}}, found {value!r}'
        )
    try:
        total = math.fsum(numbers.values())
    except OverflowError:  # an integer of more than 300 digits, or a sum that large
        total = math.inf
    if not all(number >= 0 for number in numbers.values()) or not 0 < total < math.inf:
        raise ValueError(
            f"expected numbers of at least 0 with a finite sum above 0, found {value!r}"
        )
    return {label: number / total for label, number in numbers.items() if number}


def _pairs(value: str, separator: str | None) -> dict[str, float]:
    if separator is None:
        hint = "set `separator:` to the sign between the labels"
        raise ValueError(f"expected label=number for each label, found {value!r}; {hint}")
    numbers: dict[str, float] = {}
    for part in filter(None, map(str.strip, value.split(separator))):
        label, equals, number = map(str.strip, part.partition("="))
        try:
            weight = float(number)
        except ValueError:
            weight = None
        if weight is None or not label or not equals:
            raise ValueError(f"expected label=number, found {part!r}; see `separator:`")
        if label in numbers:
            raise ValueError(f"the label {label!r} occurs twice in {value!r}")
        numbers[label] = weight
    return numbers


class SoftLabelTarget(SoftTarget, SentenceTarget):
    """A distribution over labels per sentence."""

    name: ClassVar[str] = "soft_label"
    noun: ClassVar[str] = "soft labels"

    @classmethod
    def accepts(cls, value: Any) -> bool:
        """Return whether the value belongs to the sentence."""
        return isinstance(value, str | dict)

    @classmethod
    def read(cls, value: Any, separator: str | None) -> Distribution | None:
        """Return the distribution; an empty string or object is a missing value."""
        return read_distribution(value, separator) if value else None

    @classmethod
    def pack(cls, gold: Labels) -> list[str]:
        """Return the distribution as JSON."""
        return [json.dumps(gold)]

    @classmethod
    def unpack(cls, strings: Sequence[str]) -> Distribution:
        """Return the distribution."""
        distribution: Distribution = json.loads(strings[0])
        return distribution

    @classmethod
    def names(cls, gold: Labels) -> Iterable[str]:
        """Return the labels."""
        if not isinstance(gold, dict):
            raise MtlError(f"expected a distribution per sentence, got {gold!r}")
        return gold

    def tensor(self, gold: Sequence[Labels | None], tokens: int) -> Tensor:
        """Return distributions, `[B, K]`, NaN where missing."""
        return torch.tensor([self.row(v) if isinstance(v, dict) else self.missing for v in gold])


class TokenSoftLabelTarget(SoftTarget, TokenTarget):
    """A distribution over labels per token; tokens may lack one."""

    name: ClassVar[str] = "token_soft_labels"
    noun: ClassVar[str] = "soft labels"

    @classmethod
    def accepts(cls, value: Any) -> bool:
        """Return whether the value is a list."""
        return isinstance(value, list)

    @classmethod
    def read(cls, value: Any, separator: str | None) -> Labels | None:
        """Return a distribution per token; "_", an empty string and null are missing values."""
        return cls.known(
            None if item in (None, "", ABSENT) else read_distribution(item, separator)
            for item in per_token(value, "a distribution per token")
        )

    @classmethod
    def pack(cls, gold: Labels) -> list[str]:
        """Return each distribution as JSON."""
        return [json.dumps(item) for item in cls.items(gold)]

    @classmethod
    def unpack(cls, strings: Sequence[str]) -> Labels:
        """Return the distributions."""
        return tuple(map(json.loads, strings))

    @classmethod
    def names(cls, gold: Labels) -> Iterable[str]:
        """Return the labels of all tokens."""
        return [label for item in cls.items(gold) for label in item or ()]

    def tensor(self, gold: Sequence[Labels | None], tokens: int) -> Tensor:
        """Return distributions, `[B, T, K]`, NaN where missing."""
        rows = [
            None if value is None else [self._row(item) for item in self.items(value)]
            for value in gold
        ]
        return torch.tensor(pad_tokens(rows, tokens, self.missing))

    def _row(self, item: Any) -> list[float]:
        return self.missing if item is None else self.row(item)
