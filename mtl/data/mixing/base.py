"""The contract of task mixing: which corpus the next batch comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping


class Mixing(ABC):
    """Says how often each corpus is drawn.

    Pure: what it answers depends on its arguments alone, so that a run can go on after any step.

    Args:
        sizes: Corpus to the number of batches in one pass over it.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = dict(sizes)

    @property
    def steps_per_epoch(self) -> int:
        """The steps that a run calls one epoch: by default, as many as there are batches."""
        return sum(self.sizes.values())

    @abstractmethod
    def probabilities(self, step: int) -> dict[str, float]:
        """Return how likely each corpus is to be drawn at a step; they sum to one."""
