"""Constant weights."""

from __future__ import annotations

from mtl.weighting.base import Weighting


class Static(Weighting):
    """L = Σ_t w_t · L_t with the constant weights of the run file (–).

    Args:
        tasks: All tasks with their weights from the run file.
    """

    def weights(self) -> dict[str, float]:
        """Return the weights of the run file."""
        return dict(self.tasks)
