"""The contract of metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, Self, TypeAlias

from mtl.options import Checked
from mtl.text.example import Labels, Values

Unit: TypeAlias = Literal["fraction", "plain"]
"""The unit of scores: fractions of 1, which are displayed in per cent, or plain numbers."""


Pair: TypeAlias = tuple[str | None, str | None]
"""A gold label and the predicted one; None if there is no such span, or no such label in a set."""


def shown(score: float, unit: Unit) -> str:
    """Return a score for display, with two decimals: fractions in per cent.

    >>> shown(0.5, "fraction"), shown(0.5, "plain")
    ('50.00', '0.50')
    """
    return f"{100 * score if unit == 'fraction' else score:.2f}"


def items(value: Labels) -> tuple[Any, ...]:
    """Return the values of the tokens, or the one value of the sentence."""
    return value if isinstance(value, tuple) else (value,)


class Metric(Checked, ABC):
    """Base of metrics: they count gold and predicted labels and compute scores from the counts.

    Labels are strings, so a label that training never saw counts as an error. Counts add up:
    merging two halves of a data set gives the same scores as one pass over all of it.
    """

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[Unit] = "fraction"
    """The unit of all its scores."""
    reads: ClassVar[Values] = "labels"
    """The values it compares; log_probs are the log-probabilities of the gold labels."""

    @abstractmethod
    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Add sentences to the counts.

        Args:
            gold: One item per sentence: a label (classification), one label per token (tagging), a
                set of labels, or a number; see `reads`.
            predicted: The predictions in the same form.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return scores by name, the main score first; see `unit`."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add the counts of another metric of the same class."""

    def per_label(self) -> dict[str, dict[str, float]]:
        """Return precision, recall, f1 and support of each label (or span type)."""
        return {}

    @classmethod
    def pairs(cls, gold: Sequence[Labels], predicted: Sequence[Labels]) -> Iterable[Pair]:
        """Yield the pairs of gold and predicted labels that a confusion matrix counts.

        None for metrics that do not compare labels. Arguments as for `update`.
        """
        return ()
