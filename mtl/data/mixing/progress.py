"""Mixing that follows the scores on the development sets."""

from __future__ import annotations

from collections.abc import Mapping

from mtl.data.mixing.base import Mixing
from mtl.options import PositiveFloat


class Progress(Mixing):
    """More of what still lags on its dev set; p ∝ 1 / (s^α + ε) (Jean, Firat and Johnson 2019).

    s says how near the last epoch has come to the `target` of a task: its dev score divided by the
    target, or the target by the score where lower is better, and 1 beyond it. Of several tasks of a
    corpus it is the mean, tasks that rest and adversaries left out; of a corpus without any other
    task, or without a dev set, it is 1. The first epoch draws all equally often.

    Args:
        sizes: Corpus to the number of batches in one pass over it.
        epochs: The number of epochs of the run.
        power: α: the higher, the more it matters how far a corpus lags.
        smoothing: ε: the higher, the more alike; where nothing is right yet, a corpus is drawn
            (1 + ε) / ε times as often as one that has reached its target.
    """

    needs_scores = True

    def __init__(
        self,
        sizes: Mapping[str, int],
        epochs: int = 1,
        *,
        power: PositiveFloat = 1.0,
        smoothing: PositiveFloat = 0.05,
    ) -> None:
        super().__init__(sizes, epochs)
        self.power = power
        self.smoothing = smoothing

    def probabilities(self, step: int) -> dict[str, float]:
        """Return 1/N, at every step: what follows the scores are the factors."""
        return dict.fromkeys(self.sizes, 1 / len(self.sizes))

    def factors(self, reached: Mapping[str, float]) -> dict[str, float]:
        """Return 1 / (s^α + ε)."""
        return {
            corpus: 1 / (reached.get(corpus, 1.0) ** self.power + self.smoothing)
            for corpus in self.sizes
        }
