"""A number per sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Self

import torch
from torch import Tensor
from typing_extensions import TypedDict

from mtl.errors import MtlError
from mtl.options import Bounds
from mtl.targets.base import BuildContext, SentenceTarget, Target
from mtl.targets.objectives import Objective
from mtl.text.example import Labels, Values

_LARGEST = 1e30
"""The largest absolute value: its square, and sums of squares, must be finite in float64, and the
number itself in float32."""


class NumberJson(TypedDict):
    """The saved form of the target."""

    mean: Annotated[float, Bounds(ge=-_LARGEST, le=_LARGEST)]
    scale: Annotated[float, Bounds(gt=0, le=_LARGEST)]


class Number(Objective):
    """A number y: the score is its expectation, in deviations from the mean of the training data.

    The loss is ½((y − mean) / scale − s)²: the negative log-likelihood of a normal distribution of
    variance 1, without the constant ½ log 2π, so that the loss of a correct prediction is 0, as for
    labels. A model that always predicts the mean has the mean loss ½ on the training data. Targets
    are `[N]`.

    Args:
        mean: The mean of the numbers.
        scale: Their standard deviation, above 0.
    """

    def __init__(self, mean: float = 0.0, scale: float = 1.0) -> None:
        if not scale > 0:
            raise ValueError(f"scale: expected a number above 0, got {scale}")
        super().__init__((), 1)
        self.mean = mean
        self.scale = scale

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return half the squared error in deviations."""
        return ((target - self.mean) / self.scale - scores.squeeze(1)) ** 2 / 2

    def decode(self, scores: Tensor) -> Tensor:
        """Return the expected number, `[N]`."""
        return self.mean + self.scale * scores.squeeze(1)

    def log_probs(self, scores: Tensor) -> Tensor:
        """Return an empty tensor `[N, 0]`, since numbers have no labels."""
        return scores[:, :0]

    def named(self, decoded: Tensor) -> list[float]:
        """Return the numbers."""
        numbers: list[float] = decoded.tolist()
        return numbers


class ScaledTarget(Target):
    """The shared part of targets whose values are numbers.

    Args:
        mean: The mean of the training data.
        scale: Their standard deviation, 1 where all numbers are equal.
    """

    values: ClassVar[Values] = "numbers"

    def __init__(self, mean: float, scale: float) -> None:
        self.mean = mean
        self.scale = scale

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Self:
        """Measure numbers, at least one.

        >>> target = NumberTarget.of([1.0, 3.0])
        >>> target.mean, target.scale
        (2.0, 1.0)
        """
        if min(numbers) == max(numbers):  # a rounded mean would differ from them
            return cls(numbers[0], 1.0)
        mean = math.fsum(numbers) / len(numbers)
        variance = math.fsum((number - mean) ** 2 for number in numbers) / len(numbers)
        return cls(mean, math.sqrt(variance) or 1.0)

    def labelling(self) -> Number:
        """Return the objective."""
        return Number(self.mean, self.scale)

    def summary(self) -> str:
        """Return mean and standard deviation in words."""
        return f"numbers, mean {self.mean:.4g}, deviation {self.scale:.4g}"

    @classmethod
    def item_text(cls, item: Any) -> str:
        """Return the number with six significant digits."""
        return f"{item:.6g}"

    def to_json(self) -> dict[str, Any]:
        """Return mean and scale."""
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the target from mean and scale."""
        return cls(data["mean"], data["scale"])


def read_number(value: Any) -> float | None:
    """Return the number in a string, or None for an empty string or NaN.

    Raises:
        ValueError: The value is not a finite number.
    """
    if value is None or value == "":
        return None
    try:
        number = float(value) if isinstance(value, str) else math.inf
    except ValueError:
        number = math.inf
    if abs(number) > _LARGEST:  # also of infinity
        raise ValueError(f"expected a number, found {value!r}; leave it empty if it is unknown")
    return None if math.isnan(number) else number


class NumberTarget(ScaledTarget, SentenceTarget):
    """A number per sentence."""

    name: ClassVar[str] = "number"
    json_type: ClassVar[Any] = NumberJson
    noun: ClassVar[str] = "numbers"

    @classmethod
    def read(cls, value: Any, separator: str | None) -> float | None:
        """Return the number; an empty string and NaN are missing values."""
        return read_number(value)

    @classmethod
    def pack(cls, gold: Labels) -> list[str]:
        """Return the number with all its digits."""
        return [repr(gold)]

    @classmethod
    def unpack(cls, strings: Sequence[str]) -> float:
        """Return the number."""
        return float(strings[0])

    @classmethod
    def build(cls, gold: Iterable[Labels], context: BuildContext) -> Self:
        """Measure mean and standard deviation of the training data."""
        return cls.of([cls.number(value) for value in gold])

    @staticmethod
    def number(gold: Labels) -> float:
        """Return a gold value after a check of its type."""
        if not isinstance(gold, float):
            raise MtlError(f"expected a number per sentence, got {gold!r}")
        return gold

    def tensor(self, gold: Sequence[Labels | None], tokens: int) -> Tensor:
        """Return the numbers, `[B]`, NaN where missing."""
        return torch.tensor([math.nan if value is None else self.number(value) for value in gold])
