"""Schedules of the learning rate: a factor of what the run file says, step by step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

from mtl.options import Fraction, NonNegativeInt, PositiveInt
from mtl.registry import Registry


class Schedule(ABC):
    """Gives the factor by which learning rates are multiplied.

    Pure: the factor depends on the arguments alone, so a run can go on after any epoch.

    Args:
        total_steps: The number of steps of the run, if it is not stopped early.
        warmup: The first steps, in which the factor rises from 0 in a line.
    """

    def __init__(self, total_steps: int, *, warmup: NonNegativeInt = 100) -> None:
        self.total_steps = total_steps
        self.warmup = warmup

    def factor(self, step: int, scores: Sequence[float]) -> float:
        """Return the factor at a step.

        Args:
            step: The step, from 0.
            scores: The score of the run after each epoch so far; higher is better.
        """
        return min(1.0, (step + 1) / (self.warmup + 1)) * self.after_warmup(step, scores)

    @abstractmethod
    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return the factor without the warm-up; arguments as `factor`."""

    def progress(self, step: int) -> float:
        """Return how much of the steps after the warm-up is done, in [0, 1]."""
        return min(1.0, max(0, step - self.warmup) / max(1, self.total_steps - self.warmup))


class Constant(Schedule):
    """The learning rate stays (–)."""

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return 1."""
        return 1.0


class Linear(Schedule):
    """The learning rate falls in a line to zero at the last step (–)."""

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return what is left of the steps, as a fraction."""
        return 1 - self.progress(step)


class Cosine(Schedule):
    """The learning rate falls along half a cosine to zero (Loshchilov & Hutter 2017)."""

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return (1 + cos(π · progress)) / 2."""
        return (1 + math.cos(math.pi * self.progress(step))) / 2


class Plateau(Schedule):
    """The learning rate is cut each time the score has not risen for some epochs (–).

    Args:
        total_steps: The number of steps of the run, if it is not stopped early.
        warmup: The first steps, in which the factor rises from 0 in a line.
        decay: What the factor is multiplied with at each cut.
        patience: How many epochs without a better score bring a cut.
    """

    def __init__(
        self,
        total_steps: int,
        *,
        warmup: NonNegativeInt = 100,
        decay: Fraction = 0.5,
        patience: PositiveInt = 2,
    ) -> None:
        super().__init__(total_steps, warmup=warmup)
        self.decay = decay
        self.patience = patience

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return the decay to the power of the number of cuts."""
        best, waited, cuts = -math.inf, 0, 0
        for score in scores:
            if score > best:
                best, waited = score, 0
            elif (waited := waited + 1) == self.patience:
                waited, cuts = 0, cuts + 1
        return float(self.decay**cuts)


SCHEDULES: Registry[Schedule] = Registry(
    "schedule",
    Schedule,
    {"constant": Constant, "linear": Linear, "cosine": Cosine, "plateau": Plateau},
)
