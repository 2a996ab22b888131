"""Mixing in turns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mtl.data.mixing.base import Mixing, constant_in_epoch


class RoundRobin(Mixing):
    """The corpora in turns: a b c a b c … (Collobert and Weston 2008).

    Draws each corpus as often as `uniform`, but in a fixed order: the waiting time is constant.
    """

    fixed_order = True

    @constant_in_epoch
    def probabilities(self, step: int) -> dict[str, float]:
        """Return 1/N, at every step."""
        return dict.fromkeys(self.sizes, 1 / len(self.sizes))

    def order(self, counts: Mapping[str, int], random: np.random.Generator) -> list[str]:
        """Return the corpora in turns; the turns of each corpus are evenly spaced."""
        # Turn i of n is at (i + 0.5) / n of the epoch.
        turns = [((i + 0.5) / n, name) for name, n in counts.items() for i in range(n)]
        return [name for _, name in sorted(turns, key=lambda turn: turn[0])]
