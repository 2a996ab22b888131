"""Mean and standard deviation of scores over several runs, for example over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtl.metrics.base import UNDEFINED, Unit, defined, shown

Scores = Mapping[str, Mapping[str, float]]
"""The scores of each task by name, the main score first."""
ScoresJson = dict[str, dict[str, float | None]]
"""Scores as JSON types, null where they are undefined."""


def scores_to_json(scores: Scores) -> ScoresJson:
    """Return scores by task and name as JSON types."""
    return {task: {n: defined(score) for n, score in own.items()} for task, own in scores.items()}


def scores_from_json(
    data: Mapping[str, Mapping[str, float | None]],
) -> dict[str, dict[str, float]]:
    """Return the scores that `scores_to_json` converted."""
    return {
        task: {name: UNDEFINED if score is None else score for name, score in own.items()}
        for task, own in data.items()
    }


@dataclass(frozen=True)
class Spread:
    """Summary of one score over several runs.

    Args:
        values: The scores, at least one.
    """

    values: Sequence[float]

    @property
    def mean(self) -> float:
        """The mean."""
        return statistics.fmean(self.values)

    @property
    def sd(self) -> float | None:
        """The sample standard deviation (divisor n − 1); None for a single value."""
        if len(self.values) < 2:
            return None
        # `stdev` does not accept undefined scores.
        return UNDEFINED if math.isnan(self.mean) else statistics.stdev(self.values)

    @property
    def margin(self) -> float | None:
        """Half the 95 % confidence interval of the mean (Student 1908); None for one value."""
        if self.sd is None:
            return None
        count = len(self.values)
        return student_quantile(0.975, count - 1) * self.sd / math.sqrt(count)

    def to_json(self) -> dict[str, object]:
        """Return mean, sd and values; null where they are undefined."""
        sd = None if self.sd is None else defined(self.sd)
        return {"mean": defined(self.mean), "sd": sd, "values": list(map(defined, self.values))}

    def shown(self, unit: Unit) -> str:
        """Return mean ± sd for display.

        >>> Spread([0.5, 0.75, 1.0]).shown("fraction")
        '75.00 ± 25.00'
        """
        mean = shown(self.mean, unit)
        if self.sd is None or math.isnan(self.mean):
            return mean
        return f"{mean} ± {shown(self.sd, unit)}"


def student_quantile(p: float, degrees: int) -> float:
    """Return the p-quantile of Student's t distribution, for p > 1/2.

    Args:
        p: The probability, in (0.5, 1).
        degrees: The degrees of freedom ν, at least 1.
    """
    # With t = √ν tan θ, the density of θ is proportional to cos^(ν−1) θ. It is smooth and its
    # range is bounded, so the trapezoidal rule is accurate for any ν.
    theta = np.linspace(0, math.pi / 2, 20_001)
    density = np.cos(theta) ** (degrees - 1)
    below = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return float(math.sqrt(degrees) * np.tan(np.interp(2 * p - 1, below / below[-1], theta)))


def spread(runs: Sequence[Scores]) -> dict[str, dict[str, Spread]]:
    """Return the summary of each score by task and name, over the runs that have the score."""
    collected: dict[str, dict[str, list[float]]] = {}
    for scores in runs:
        for task, by_name in scores.items():
            for name, score in by_name.items():
                collected.setdefault(task, {}).setdefault(name, []).append(score)
    return {
        task: {name: Spread(values) for name, values in by_name.items()}
        for task, by_name in collected.items()
    }
