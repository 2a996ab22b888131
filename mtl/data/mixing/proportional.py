"""Mixing in proportion to size."""

from __future__ import annotations

from mtl.data.mixing.base import Mixing, normalised


class Proportional(Mixing):
    """Every batch of every corpus once per epoch, in random order; p ∝ n (Sanh et al. 2019)."""

    def probabilities(self, step: int) -> dict[str, float]:
        """Return n / Σn, at every step."""
        return normalised(self.sizes)
