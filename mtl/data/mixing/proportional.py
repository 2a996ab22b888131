"""Mixing in proportion to size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mtl.data.mixing.base import Mixing, constant_in_epoch, normalised
from mtl.options import RunContext


class Proportional(Mixing):
    """Every batch of every corpus once per epoch, in random order; p ∝ n (Sanh et al. 2019)."""

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Return nothing: it is the default, also for runs of one corpus."""
        return ()

    @constant_in_epoch
    def probabilities(self, step: int) -> dict[str, float]:
        """Return n / Σn, at every step."""
        return normalised(self.sizes)
