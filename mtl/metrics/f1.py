"""F1 of labels."""

from __future__ import annotations

from typing import Literal

from mtl.metrics.counts import CountedMetric


class F1(CountedMetric):
    """F1 of token or sentence labels; F1 = 2·P·R / (P + R) (van Rijsbergen 1979).

    In the macro average, rare labels count as much as frequent ones, unlike in accuracy.

    Args:
        average: `macro`, the mean over all labels in the gold data or the predictions; or `micro`,
            over all decisions, which equals accuracy because each item has one label.
    """

    def __init__(self, *, average: Literal["macro", "micro"] = "macro") -> None:
        super().__init__()
        self.average = average

    def compute(self) -> dict[str, float]:
        """Return averaged F1, precision and recall; undefined without gold labels.

        A precision or recall with denominator 0 is 0.
        """
        if self.average == "micro":
            precision, recall, f1 = self.counts.scores()
            return {"f1": f1, "precision": precision, "recall": recall}
        return self.counts.macro()
