"""Accuracy."""

from __future__ import annotations

from mtl.metrics.counts import CountedMetric


class Accuracy(CountedMetric):
    """The fraction of tokens (taggers) or sentences (classifiers) whose label is right (–)."""

    def compute(self) -> dict[str, float]:
        """Return the accuracy, 0 if nothing was counted."""
        # With one prediction a label, the recall over all labels is the accuracy.
        return {"accuracy": self.counts.scores()[1]}
