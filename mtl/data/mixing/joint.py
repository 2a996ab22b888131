"""Mixing of all corpora in every step."""

from __future__ import annotations

from mtl.data.mixing.base import Mixing


class Joint(Mixing):
    """One batch of every corpus per step; the losses are summed (Sener and Koltun 2018).

    Weightings that balance gradients need this mixing. An epoch is one pass over the corpus with
    the most batches; the other corpora start again when they end.
    """

    joint = True
    fixed_order = True

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches of the largest corpus."""
        return max(self.sizes.values())

    def probabilities(self, step: int) -> dict[str, float]:
        """Return 1/N, at every step: each corpus has the same share of the batches."""
        return dict.fromkeys(self.sizes, 1 / len(self.sizes))
