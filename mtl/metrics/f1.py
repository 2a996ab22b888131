"""F1 of labels."""

from __future__ import annotations

from typing import Literal

from mtl.metrics.counts import CountedMetric, ratio


class F1(CountedMetric):
    """F1 of the labels of tokens or sentences; F1 = 2·P·R / (P + R) (van Rijsbergen 1979).

    Unlike accuracy, the macro average counts a rare label as much as a frequent one.

    Args:
        average: `macro`, the mean over the labels that are in the gold data or were predicted,
            or `micro`, over all decisions (equal to accuracy, as each token has one label).
    """

    def __init__(self, *, average: Literal["macro", "micro"] = "macro") -> None:
        super().__init__()
        self.average = average

    def compute(self) -> dict[str, float]:
        """Return F1, precision and recall, averaged; a fraction without denominator is 0."""
        if self.average == "micro":
            precision, recall, f1 = self.counts.scores()
            return {"f1": f1, "precision": precision, "recall": recall}
        rows = self.counts.table().values()
        return {
            name: ratio(sum(row[name] for row in rows), len(rows))
            for name in ("f1", "precision", "recall")
        }
