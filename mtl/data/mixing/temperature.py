"""Mixing between proportional and uniform."""

from __future__ import annotations

from collections.abc import Mapping

from mtl.data.mixing.base import Mixing, constant_in_epoch, normalised
from mtl.options import PositiveFloat


class Temperature(Mixing):
    """Between proportional (temperature 1) and uniform (∞); p ∝ n^(1/T) (Raffel et al. 2020).

    Draws small corpora more often than `proportional`, but repeats them less than `uniform`.

    Args:
        sizes: Corpus to the number of batches in one pass over it.
        epochs: Number of epochs of the run.
        temperature: T. The paper recommends 2; 5 is common if sizes differ by a factor of 1000.
    """

    def __init__(
        self, sizes: Mapping[str, int], epochs: int = 1, *, temperature: PositiveFloat = 2.0
    ) -> None:
        super().__init__(sizes, epochs)
        self.temperature = temperature

    @constant_in_epoch
    def probabilities(self, step: int) -> dict[str, float]:
        """Return n^(1/T) / Σn^(1/T), at every step."""
        # Relative to the largest size, so that the power does not overflow for a small T.
        largest = max(self.sizes.values())
        return normalised(
            {name: (size / largest) ** (1 / self.temperature) for name, size in self.sizes.items()}
        )
