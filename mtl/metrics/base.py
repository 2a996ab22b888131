"""The contract of metrics."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, Self, TypeAlias

from mtl.options import Checked
from mtl.text.example import Labels, Values

Unit: TypeAlias = Literal["fraction", "plain"]
"""The unit of scores: fractions of 1, which are displayed in per cent, or plain numbers."""


UNDEFINED = math.nan
"""The score of data on which nothing can be scored."""
Pair: TypeAlias = tuple[str | None, str | None]
"""A gold label and the predicted one; None on the side that does not have the
span, or the label of a set."""


def shown(score: float, unit: Unit, *, sign: bool = False) -> str:
    """Return a score for display, with two decimals: fractions in per cent, undefined as a dash.

    >>> shown(0.5, "fraction"), shown(-0.001, "plain"), shown(UNDEFINED, "plain")
    ('50.00', '0.00', '–')
    """
    if math.isnan(score):
        return "–"
    # The z turns a rounded −0.00 into 0.00.
    return format(100 * score if unit == "fraction" else score, "+z.2f" if sign else "z.2f")


def defined(score: float) -> float | None:
    """Return a score for JSON, which has no NaN: None if it is undefined."""
    return None if math.isnan(score) else score


def items(value: Labels) -> tuple[Any, ...]:
    """Return the values of the tokens, or the one value of the sentence."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


class Metric(Checked, ABC):
    """Base of metrics: they count gold and predicted labels and compute scores from the counts.

    Labels are strings, so a label that does not occur in the training data counts as an error.
    Counts can be added: two merged halves of a data set give the same scores as one pass over it.
    """

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[Unit] = "fraction"
    """The unit of all its scores."""
    reads: ClassVar[Values] = "labels"
    """The values it compares; log_probs are the log-probabilities of the gold labels."""

    level: ClassVar[Literal["token", "sentence"] | None] = None
    """The level of the labels that it compares; None: both."""
    ranked: ClassVar[bool] = False
    """Whether a prediction is a tuple of labels in descending order of their probabilities."""
    reads_ranks: ClassVar[bool] = False
    """Whether a prediction of a language model is the number of words that are more probable than
    the gold word, instead of the log-probability of the gold word."""

    @abstractmethod
    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Add sentences to the counts.

        Args:
            gold: One item per sentence: a label (classification), a tuple or list with one label
                per token (tagging), a set of labels, or a number; see `reads`.
            predicted: The predictions in the same form.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return scores by name, the main score first; see `unit`.

        A score is `UNDEFINED` if the gold values do not allow any, for example because there are
        none. This must not depend on the predictions: a task without scores does not take part in
        the choice of the best epoch.
        """

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
