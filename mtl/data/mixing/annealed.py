"""Mixing that moves from proportional towards uniform."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mtl.data.mixing.base import Mixing, constant_in_epoch, normalised
from mtl.options import RunContext


class Annealed(Mixing):
    """From proportional in the first epoch to almost uniform in the last (Stickland & Murray 2019).

    p ∝ n^α with α = 1 − 0.8·(e − 1)/(E − 1) in epoch e of E. The shared parts first learn from the
    large corpora; the last epochs balance the corpora, so that small ones are not forgotten.
    """

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note for a run of one epoch or of one corpus."""
        yield from super().notes(options, context)
        if context.epochs == 1:
            yield "the run has 1 epoch, and the first epoch is proportional"

    @constant_in_epoch
    def probabilities(self, step: int) -> dict[str, float]:
        """Return n^α / Σn^α, with α for the epoch of the step."""
        # `max`: a run of one epoch is all proportional.
        done = step // self.steps_per_epoch / max(1, self.epochs - 1)
        alpha = 1 - 0.8 * min(1.0, done)
        return normalised({name: size**alpha for name, size in self.sizes.items()})
