"""Mixing of all corpora in every step."""

from __future__ import annotations

from mtl.data.mixing.base import Mixing


class Joint(Mixing):
    """One batch of every corpus a step; their losses are added up (Sener and Koltun 2018).

    What methods that balance gradients need. An epoch goes once through the corpus that has the
    most batches; the others start over when they end.
    """

    joint = True

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches of the largest corpus."""
        return max(self.sizes.values())

    def probabilities(self, step: int) -> dict[str, float]:
        """Return 1/N, at every step: each corpus has the same share of the batches."""
        return dict.fromkeys(self.sizes, 1 / len(self.sizes))
