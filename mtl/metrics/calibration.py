"""Calibration of confidences: how often answers of a confidence are right. Letter: N answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtl.metrics.base import UNDEFINED, defined

BINS = 15
"""The number of bins of the calibration error, as in Guo et al. (2017)."""
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
"""The shares of answers in a table of risk and coverage."""


class ReliabilityBin(NamedTuple):
    """The answers whose confidence is in one interval (low, high].

    Args:
        low: The lower end.
        high: The upper end.
        number: The number of answers.
        confidence: Their mean confidence; NaN without answers.
        accuracy: The share of them that is right; NaN without answers.
    """

    low: float
    high: float
    number: int
    confidence: float
    accuracy: float


class CoveragePoint(NamedTuple):
    """The answers above a threshold.

    Args:
        coverage: Their share of all answers.
        threshold: The smallest confidence among them.
        accuracy: The share of them that is right.
    """

    coverage: float
    threshold: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Reliability:
    """The confidences of the answers of a model, and whether the answers are right.

    >>> answers = Reliability.of([(0.9, True), (0.9, False), (0.4, True), (0.4, False)])
    >>> round(answers.error(), 3)  # half of |0.5 − 0.9|, and half of |0.5 − 0.4|
    0.25

    Args:
        confidence: `[N]`, from 0 to 1.
        correct: `[N]` bool.
    """

    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]

    @classmethod
    def of(cls, answers: Iterable[tuple[float, bool]]) -> Reliability:
        """Make an object of pairs of a confidence and whether the answer is right."""
        pairs = list(answers)
        numbers = np.array([pair[0] for pair in pairs], dtype=np.float64)
        return cls(numbers, np.array([pair[1] for pair in pairs], dtype=np.bool_))

    def __len__(self) -> int:
        return len(self.confidence)

    def bins(self, number: int = BINS) -> list[ReliabilityBin]:
        """Return the answers in bins of equal width: the rows of a reliability diagram."""
        place = self._places(number)
        counts = np.bincount(place, minlength=number)
        sums = [
            np.bincount(place, values, minlength=number)
            for values in (self.confidence, self.correct)
        ]
        return [
            ReliabilityBin(
                index / number,
                (index + 1) / number,
                int(count),
                *(float(own[index] / count) if count else UNDEFINED for own in sums),
            )
            for index, count in enumerate(counts)
        ]

    def _places(self, number: int) -> NDArray[np.intp]:
        """Return the index of the bin of each answer, `[N]`."""
        place = np.ceil(self.confidence * number).astype(np.intp) - 1
        return np.clip(place, 0, number - 1)

    def error(self, number: int = BINS) -> float:
        """Return the expected calibration error (Naeini et al. 2015; Guo et al. 2017).

        It is the mean of |accuracy − mean confidence| over bins of equal width, weighted by their
        numbers of answers; NaN without answers.
        """
        if not len(self):
            return UNDEFINED
        gaps = (
            own.number * abs(own.accuracy - own.confidence)
            for own in self.bins(number)
            if own.number
        )
        return sum(gaps) / len(self)

    def chance(self, number: int = BINS) -> float:
        """Return the error that perfect confidences have on average, since answers are finite.

        In a bin, the number of right answers is a sum of independent draws with the confidences as
        probabilities. For a normal distribution with the same variance, its mean distance from its
        expectation is √(2 / π · Σ p (1 − p)). An error near this one may be chance alone.
        """
        if not len(self):
            return UNDEFINED
        place = self._places(number)
        variances = np.bincount(place, self.confidence * (1 - self.confidence))
        return float(np.sqrt(2 / np.pi * variances).sum() / len(self))

    def mean(self) -> float:
        """Return the mean confidence; NaN without answers."""
        return float(self.confidence.mean()) if len(self) else UNDEFINED

    def accuracy(self, threshold: float = 0.0) -> float:
        """Return the share of right answers among answers of at least this confidence."""
        kept = self.correct[self.confidence >= threshold]
        return float(kept.mean()) if len(kept) else UNDEFINED

    def coverage(self, threshold: float) -> float:
        """Return the share of answers of at least this confidence; NaN without answers."""
        return float((self.confidence >= threshold).mean()) if len(self) else UNDEFINED

    def risk_coverage(self, coverages: Sequence[float] = COVERAGES) -> list[CoveragePoint]:
        """Return accuracies of the most confident answers (El-Yaniv and Wiener 2010).

        Answers of equal confidence are kept together, so a coverage may be larger than asked for.

        Args:
            coverages: The least shares of answers, from 0 to 1.
        """
        if not len(self):
            return []
        ordered = np.sort(self.confidence)[::-1]
        thresholds = [float(ordered[max(int(np.ceil(c * len(self))), 1) - 1]) for c in coverages]
        return [CoveragePoint(self.coverage(t), t, self.accuracy(t)) for t in thresholds]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers of a reliability diagram as JSON types, null where undefined."""
        return {
            "count": len(self),
            "accuracy": defined(self.accuracy()),
            "confidence": defined(self.mean()),
            "ece": defined(self.error()),
            "ece_by_chance": defined(self.chance()),
            "bins": [
                {name: defined(value) for name, value in own._asdict().items()}
                for own in self.bins()
                if own.number
            ],
            "risk_coverage": [own._asdict() for own in self.risk_coverage()],
        }
