"""Accuracy."""

from __future__ import annotations

from mtl.metrics.counts import CountedMetric


class Accuracy(CountedMetric):
    """The fraction of tokens (taggers) or sentences (classifiers) with the correct label (–)."""

    def compute(self) -> dict[str, float]:
        """Return the accuracy; undefined if nothing was counted."""
        # Each gold label has exactly one prediction, so micro-averaged recall equals accuracy.
        return {"accuracy": self.counts.scores()[1]}
