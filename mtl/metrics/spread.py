"""Scores of several runs, such as those of some seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtl.metrics.base import shown

Scores = Mapping[str, Mapping[str, float]]
"""Task to its scores by name, the first one its own."""


@dataclass(frozen=True)
class Spread:
    """A score in each of several runs.

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
        """The standard deviation, estimated from a sample (divided by n − 1); None of one value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def to_json(self) -> dict[str, object]:
        """Return mean, sd and values."""
        return {"mean": self.mean, "sd": self.sd, "values": list(self.values)}

    def shown(self, name: str) -> str:
        """Return mean ± sd of the score `name` as people write it.

        >>> Spread([0.5, 0.75, 1.0]).shown("accuracy")
        '75.00 ± 25.00'
        """
        mean = shown(name, self.mean)
        return mean if self.sd is None else f"{mean} ± {shown(name, self.sd)}"


def spread(runs: Sequence[Scores]) -> dict[str, dict[str, Spread]]:
    """Return task to the spread of each of its scores, over the runs that have it."""
    found: dict[str, dict[str, list[float]]] = {}
    for scores in runs:
        for task, by_name in scores.items():
            for name, score in by_name.items():
                found.setdefault(task, {}).setdefault(name, []).append(score)
    return {
        task: {name: Spread(values) for name, values in by_name.items()}
        for task, by_name in found.items()
    }
