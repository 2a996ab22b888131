"""Schedules of the learning rate: a factor of what the run file says, step by step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar

from mtl.options import Bounds, Checked, Fraction, NonNegativeInt, PositiveInt
from mtl.registry import Registry


class Schedule(Checked, ABC):
    """Gives the factor by which learning rates are multiplied.

    Pure: what it gives depends on the arguments alone, so a run can go on after any epoch.

    Args:
        total_steps: The number of steps of the run, if it is not stopped early.
        warmup: The first steps, in which the factor rises from 0 in a line.
    """

    needs_scores: ClassVar[bool] = False
    """Whether it means nothing without a development set."""
    restarts: int = 0
    """How often, at most, the run goes back to its best weights."""

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

    def restarting(self, scores: Sequence[float]) -> bool:
        """Return whether the run goes back to its best weights now; scores as in `factor`."""
        return False

    def finished(self, scores: Sequence[float]) -> bool:
        """Return whether the run should stop; scores as in `factor`."""
        return False

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


class SlantedTriangular(Schedule):
    """The learning rate rises in a line, soon, and falls in a long one (Howard & Ruder 2018).

    With p from 0 to 1 at the peak and back to 0 at the last step, the factor is
    (1 + p · (ratio − 1)) / ratio (Eq. 3).

    Args:
        total_steps: The number of steps of the run, if it is not stopped early.
        rise: The part of the steps in which the factor rises; cut_frac in the paper.
        ratio: The highest factor, 1, over the lowest.
    """

    def __init__(
        self,
        total_steps: int,
        *,
        rise: Fraction = 0.1,
        ratio: Annotated[float, Bounds(ge=1)] = 32.0,
    ) -> None:
        super().__init__(total_steps, warmup=0)
        self.peak = max(1, int(total_steps * rise))
        self.ratio = ratio

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return the factor."""
        fallen = (step - self.peak) / max(1, self.total_steps - self.peak)
        p = step / self.peak if step < self.peak else max(0.0, 1 - fallen)
        return (1 + p * (self.ratio - 1)) / self.ratio


class Plateau(Schedule):
    """The learning rate is cut each time the score has not risen for some epochs (–).

    Args:
        total_steps: The number of steps of the run, if it is not stopped early.
        warmup: The first steps, in which the factor rises from 0 in a line.
        decay: What the factor is multiplied with at each cut.
        patience: How many epochs without a better score bring a cut.
    """

    needs_scores = True

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
        return float(self.decay ** plateaus(scores, self.patience))


class AnnealRestart(Schedule):
    """Adam with restarts and annealing (Denkowski & Neubig 2017).

    Each time the score has not risen for some epochs, the run goes back to its best weights, with
    a lower learning rate, fresh moments of the optimiser and a fresh average of the weights. After
    the last restart it ends there instead; a `patience` of the run is best left out.

    Args:
        total_steps: The number of steps of the run, if it is not stopped early.
        warmup: The first steps, in which the factor rises from 0 in a line.
        factor: What the learning rate is multiplied with at each restart.
        restarts: The number of restarts, at most.
        patience: How many epochs without a better score bring a restart, or the end.
    """

    needs_scores = True

    def __init__(
        self,
        total_steps: int,
        *,
        warmup: NonNegativeInt = 100,
        factor: Fraction = 0.5,
        restarts: PositiveInt = 2,
        patience: PositiveInt = 2,
    ) -> None:
        super().__init__(total_steps, warmup=warmup)
        self.decay = factor
        self.restarts = restarts
        self.patience = patience

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return the decay to the power of the number of restarts."""
        return float(self.decay ** min(self.restarts, plateaus(scores, self.patience)))

    def restarting(self, scores: Sequence[float]) -> bool:
        """Return whether the last epoch brought a restart."""
        before = plateaus(scores[:-1], self.patience)
        return before < plateaus(scores, self.patience) <= self.restarts

    def finished(self, scores: Sequence[float]) -> bool:
        """Return whether patience is out after the last restart."""
        return plateaus(scores, self.patience) > self.restarts


def plateaus(scores: Sequence[float], patience: int) -> int:
    """Return how often the score did not rise for so many epochs.

    >>> plateaus([0.1, 0.3, 0.2, 0.3, 0.4, 0.4, 0.4], 2)
    2
    """
    best, waited, found = -math.inf, 0, 0
    for score in scores:
        if score > best:
            best, waited = score, 0
        elif (waited := waited + 1) == patience:
            waited, found = 0, found + 1
    return found


SCHEDULES: Registry[Schedule] = Registry(
    "schedule",
    Schedule,
    {
        "constant": Constant,
        "linear": Linear,
        "cosine": Cosine,
        "slanted": SlantedTriangular,
        "plateau": Plateau,
        "anneal_restart": AnnealRestart,
    },
)
