"""Weights that stay as given."""

from __future__ import annotations

from mtl.weighting.base import Weighting


class Static(Weighting):
    """L = Σ_t w_t · L_t with the weights that the tasks are given in the run file (–).

    Args:
        tasks: All tasks, and the weight that the run file gives each.
    """

    def weights(self) -> dict[str, float]:
        """Return the weights given."""
        return dict(self.tasks)
