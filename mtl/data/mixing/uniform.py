"""Mixing that ignores size."""

from __future__ import annotations

from mtl.data.mixing.base import Mixing, constant_in_epoch


class Uniform(Mixing):
    """Every corpus equally often, in random order; p = 1/N (Søgaard and Goldberg 2016).

    Small corpora are repeated more often than large ones.
    """

    @constant_in_epoch
    def probabilities(self, step: int) -> dict[str, float]:
        """Return 1/N, at every step."""
        return dict.fromkeys(self.sizes, 1 / len(self.sizes))
