"""Mixing that follows the scores on the development sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from mtl.data.mixing.base import Mixing, constant_in_epoch
from mtl.options import Bounds, PositiveFloat, RunContext


class Progress(Mixing):
    """Draw corpora far from their target more often; p ∝ 1 / (s^α + ε) (Jean et al. 2019).

    The progress s of a task is its last dev score divided by its `target`, at most 1; if lower
    scores are better, the target divided by the score. The progress of a corpus is the mean over
    its tasks, without stopped tasks and adversaries. It is 1 for a corpus that has no other task
    or no dev split. In the first epoch, all corpora are drawn equally often.

    Args:
        sizes: Corpus to the number of batches in one pass over it.
        epochs: Number of epochs of the run.
        power: α. Higher values favour corpora far from their target more strongly.
        smoothing: ε. Higher values make the probabilities more equal. A corpus with score 0 is
            drawn (1 + ε) / ε times as often as a corpus at its target.
    """

    needs_scores = True

    def __init__(
        self,
        sizes: Mapping[str, int],
        epochs: int = 1,
        *,
        power: PositiveFloat = 1.0,
        smoothing: Annotated[float, Bounds(ge=1e-9)] = 0.05,
    ) -> None:
        super().__init__(sizes, epochs)
        self.power = power
        self.smoothing = smoothing

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note for a run of one epoch or of one corpus."""
        yield from super().notes(options, context)
        if context.epochs == 1:
            yield "the run has 1 epoch, and in the first epoch all corpora are drawn equally often"

    @constant_in_epoch
    def probabilities(self, step: int) -> dict[str, float]:
        """Return 1/N at every step; only the factors depend on the scores."""
        return dict.fromkeys(self.sizes, 1 / len(self.sizes))

    def factors(self, reached: Mapping[str, float]) -> dict[str, float]:
        """Return 1 / (s^α + ε)."""
        # A corpus without a score counts as solved; without any scores, all factors are equal.
        return {
            corpus: 1 / (reached.get(corpus, 1.0) ** self.power + self.smoothing)
            for corpus in self.sizes
        }
