"""The contract of task mixing: which corpus the next batch comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from mtl.options import Checked


class Mixing(Checked, ABC):
    """Says how often each corpus is drawn.

    Pure: what it answers depends on its arguments alone, so that a run can go on after any step.

    Args:
        sizes: Corpus to the number of batches in one pass over it.
        epochs: The number of epochs of the run.
    """

    joint: ClassVar[bool] = False
    """Whether each step takes one batch of every corpus, instead of one batch of one of them."""
    needs_scores: ClassVar[bool] = False
    """Whether it follows the scores on the development sets."""

    def __init__(self, sizes: Mapping[str, int], epochs: int = 1) -> None:
        self.sizes = dict(sizes)
        self.epochs = epochs

    @property
    def steps_per_epoch(self) -> int:
        """The steps that a run calls one epoch: by default, as many as there are batches."""
        return sum(self.sizes.values())

    @abstractmethod
    def probabilities(self, step: int) -> dict[str, float]:
        """Return how likely each corpus is to be drawn at a step, from 0; they sum to one."""

    def factors(self, reached: Mapping[str, float]) -> dict[str, float]:
        """Return how many times as often as that each corpus is drawn: by default, once.

        Args:
            reached: Corpus to how near its tasks had come to their targets before the epoch, from 0
                to 1; corpora of which nothing is known are not in it.
        """
        return dict.fromkeys(self.sizes, 1.0)

    def order(self, counts: Mapping[str, int], random: np.random.Generator) -> list[str]:
        """Return the corpora of the steps of an epoch, in order: by default, shuffled.

        Args:
            counts: Corpus to how often it is drawn in the epoch.
            random: Random numbers of that epoch.
        """
        drawn = np.repeat(np.arange(len(counts)), list(counts.values()))
        names = list(counts)
        return [names[i] for i in random.permutation(drawn)]


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights divided by their sum."""
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
