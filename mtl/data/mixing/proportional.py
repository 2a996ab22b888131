"""Mixing in proportion to size."""

from __future__ import annotations

from mtl.data.mixing.base import Mixing, normalised


class Proportional(Mixing):
    """Each corpus as often as it has batches, in random order; p ∝ n (Sanh et al. 2019).

    An epoch of the run is one pass over every corpus: each batch is drawn exactly once.
    """

    def probabilities(self, step: int) -> dict[str, float]:
        """Return n / Σn, at every step."""
        return normalised(self.sizes)
