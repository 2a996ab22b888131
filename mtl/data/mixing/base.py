"""The contract of task mixing: which corpus the next batch comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np

from mtl.options import Checked, RunContext

_Method = TypeVar("_Method", bound=Callable[..., dict[str, float]])


def constant_in_epoch(probabilities: _Method) -> _Method:
    """Mark a method `probabilities` that returns the same for all steps of an epoch.

    The sampler then calls it once per epoch instead of once per step. A subclass that overrides
    the method does not inherit the mark.
    """
    probabilities.constant_in_epoch = True  # type: ignore[attr-defined]
    return probabilities


class Mixing(Checked, ABC):
    """Determines how often each corpus is drawn.

    All methods are pure functions of their arguments, so that a run can resume after any step.

    Args:
        sizes: Corpus to the number of batches in one pass over it.
        epochs: Number of epochs of the run.
    """

    joint: ClassVar[bool] = False
    """Whether each step takes one batch of every corpus, instead of one batch of one corpus."""
    fixed_order: ClassVar[bool] = False
    """Whether the order of the corpora is fixed. Every n-th step is then not a fair sample."""
    in_blocks: ClassVar[bool] = False
    """Whether an epoch has all batches of a corpus one after the other."""
    one_batch: bool = False
    """Whether the batches of a step become one batch; for joint mixings."""
    needs_scores: ClassVar[bool] = False
    """Whether the factors depend on the dev scores."""

    @classmethod
    def mixes_corpora(cls, options: Mapping[str, Any]) -> bool:
        """Return whether a batch has sentences of all corpora; see `one_batch`."""
        return False

    def __init__(self, sizes: Mapping[str, int], epochs: int = 1) -> None:
        self.sizes = dict(sizes)
        self.epochs = epochs

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note if the run has one corpus, so that nothing is mixed."""
        if len(context.corpora) == 1:
            yield "has no effect, as the run has one corpus"

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps per epoch; by default, the number of batches of all corpora."""
        return sum(self.sizes.values())

    @abstractmethod
    def probabilities(self, step: int) -> dict[str, float]:
        """Return the probability of each corpus at a step (from 0); they sum to one.

        The decorator `constant_in_epoch` makes long epochs start faster.
        """

    def factors(self, reached: Mapping[str, float]) -> dict[str, float]:
        """Return the factor by which each probability of an epoch is multiplied; by default 1.

        Args:
            reached: Corpus to its progress before the epoch: mean of score over target of its
                tasks, from 0 to 1. A corpus without a known score is absent.
        """
        return dict.fromkeys(self.sizes, 1.0)

    def order(self, counts: Mapping[str, int], random: np.random.Generator) -> list[str]:
        """Return the corpus of each step of an epoch; by default, in random order.

        Args:
            counts: Corpus to the number of its batches in the epoch.
            random: Random generator of the epoch.
        """
        drawn = np.repeat(np.arange(len(counts)), list(counts.values()))
        names = list(counts)
        return [names[i] for i in random.permutation(drawn)]


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights divided by their sum."""
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
