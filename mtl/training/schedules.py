"""Schedules of the learning rate: a factor of the configured learning rate per step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from mtl.errors import OptionError
from mtl.options import (
    Bounds,
    Checked,
    Fraction,
    NonNegativeInt,
    PositiveInt,
    RunContext,
    count,
)
from mtl.registry import Registry


class Schedule(Checked, ABC):
    """Base of schedules, which return the factor of the learning rates.

    Schedules are pure functions of their arguments, so a run can be resumed after any epoch.

    Args:
        total_steps: The number of steps of the run without early stopping.
        warmup: Number of steps of linear warm-up from 0; null: a quarter of the first epoch, at
            most 100 steps (without a run: none).
    """

    needs_scores: ClassVar[bool] = False
    """Whether it has no effect without a development set."""
    restarts: int = 0
    """Largest number of restarts from the best weights."""
    snapshots: int = 0
    """Number of models to keep, at equal distances in epochs."""

    def __init__(self, total_steps: int, *, warmup: NonNegativeInt | None = None) -> None:
        self.total_steps = total_steps
        self.warmup = warmup or 0

    @classmethod
    def with_warmup(cls, options: Mapping[str, Any], steps_per_epoch: int) -> dict[str, Any]:
        """Return the options with the default number of warm-up steps filled in.

        It does not depend on the number of epochs, so a run that is resumed with more epochs ends
        as if it had had them from the start.
        """
        if options.get("warmup", 0) is not None:
            return dict(options)
        return {**options, "warmup": min(100, steps_per_epoch // 4)}

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note if the warm-up, or the wait for a plateau, takes most of the run."""
        warmup = options.get("warmup") or 0
        if warmup >= context.steps:
            yield (
                f"the warm-up of {warmup:,} steps is longer than the run of {context.steps:,}, so "
                "the learning rate never reaches its value"
            )
        elif warmup > context.steps / 2:
            yield f"{warmup:,} of the {context.steps:,} steps of the run are warm-up"
        # The first score is an improvement, so the first plateau ends `patience` epochs later.
        if cls.needs_scores and (first := options["patience"] + 1) >= context.epochs:
            yield (
                f"the learning rate falls after epoch {first} at the earliest, and the run has "
                f"{count(context.epochs, 'epoch')}"
            )

    def factor(self, step: int, scores: Sequence[float]) -> float:
        """Return the factor at a step.

        Args:
            step: The step, from 0.
            scores: The score of the run after each epoch so far; higher is better.
        """
        # The + 1 makes the first step count, and the factor 1 in the first step after the warm-up.
        return min(1.0, (step + 1) / (self.warmup + 1)) * self.after_warmup(step, scores)

    def restarting(self, scores: Sequence[float]) -> bool:
        """Return whether the run restarts from its best weights now; see `factor` for scores."""
        return False

    def finished(self, scores: Sequence[float]) -> bool:
        """Return whether the run should stop; see `factor` for scores."""
        return False

    @abstractmethod
    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return the factor without the warm-up; see `factor` for the arguments."""

    def progress(self, step: int) -> float:
        """Return the completed fraction of the steps after the warm-up, in [0, 1]."""
        return min(1.0, max(0, step - self.warmup) / max(1, self.total_steps - self.warmup))


class Constant(Schedule):
    """Constant learning rate (–)."""

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return 1."""
        return 1.0


class Linear(Schedule):
    """Linear decay of the learning rate to zero at the last step (–)."""

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return 1 − progress."""
        return 1 - self.progress(step)


class Cosine(Schedule):
    """Cosine decay of the learning rate to zero (Loshchilov & Hutter 2017)."""

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return (1 + cos(π · progress)) / 2."""
        return (1 + math.cos(math.pi * self.progress(step))) / 2


class CosineRestarts(Schedule):
    """Cosine decay to zero in several cycles, each from the full rate (Loshchilov & Hutter 2017).

    The cycles have the same number of epochs. The models at their ends differ, since each cycle
    leaves the minimum of the one before. `mtl ensemble RUN` joins them into an ensemble that costs
    one training (snapshots, Huang et al. 2017).

    Args:
        total_steps: The number of steps of the run without early stopping.
        warmup: Number of steps of linear warm-up from 0; null: a quarter of the first epoch, at
            most 100 steps (without a run: none).
        cycles: Number of cycles; the number of epochs is a multiple of it.
        snapshots: Whether the model at the end of each cycle is kept, in `snapshots/` of the run
            folder.
    """

    def __init__(
        self,
        total_steps: int,
        *,
        warmup: NonNegativeInt | None = None,
        cycles: PositiveInt = 4,
        snapshots: bool = True,
    ) -> None:
        super().__init__(total_steps, warmup=warmup)
        self.cycles = cycles
        self.snapshots = cycles if snapshots else 0

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error if the epochs cannot be divided into cycles."""
        yield from super().check(options, context)
        if context.epochs % options["cycles"]:
            yield OptionError(
                "cycles",
                f"expected a divisor of training.epochs ({context.epochs}), got "
                f"{options['cycles']}; all cycles have the same number of epochs",
            )

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note if there is one cycle."""
        yield from super().notes(options, context)
        if options["cycles"] == 1:
            yield "one cycle is the schedule `cosine`, without restarts and snapshots"

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return (1 + cos(π · completed fraction of the cycle)) / 2."""
        length = self.total_steps / self.cycles
        start = self.warmup if step < length else 0
        fraction = max(0.0, step % length - start) / max(1.0, length - start)
        return (1 + math.cos(math.pi * fraction)) / 2


class SlantedTriangular(Schedule):
    """Slanted triangular: a short linear rise and a long linear decay (Howard & Ruder 2018).

    The factor is (1 + p · (ratio − 1)) / ratio (Eq. 3). p rises from 0 to 1 at the peak and falls
    to 0 at the last step.

    Args:
        total_steps: The number of steps of the run without early stopping.
        rise: Fraction of the steps in which the factor rises; cut_frac in the paper.
        ratio: Ratio of the highest factor, 1, to the lowest.
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
        decay = (step - self.peak) / max(1, self.total_steps - self.peak)
        p = step / self.peak if step < self.peak else max(0.0, 1 - decay)
        return (1 + p * (self.ratio - 1)) / self.ratio


class OneCycle(Schedule):
    """One cycle: a long rise, a decay, and a final decay to almost zero (Smith & Topin 2019).

    Both parts follow a cosine, from 1 / `divide` to 1 and from there to 1 / (`divide` · 10⁴), as in
    `torch.optim.lr_scheduler.OneCycleLR`. The momentum of the optimiser does not change.

    Args:
        total_steps: The number of steps of the run without early stopping.
        rise: Fraction of the steps in which the factor rises.
        divide: Ratio of the highest factor, 1, to the first one.
    """

    def __init__(
        self,
        total_steps: int,
        *,
        rise: Fraction = 0.3,
        divide: Annotated[float, Bounds(ge=1)] = 25.0,
    ) -> None:
        super().__init__(total_steps, warmup=0)
        self.peak = max(1.0, rise * total_steps - 1)  # as torch has it, from step 0
        self.divide = divide

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return the factor."""
        first, last = 1 / self.divide, 1e-4 / self.divide
        if step <= self.peak:
            return _along_cosine(first, 1.0, step / self.peak)
        rest = max(1e-9, self.total_steps - 1 - self.peak)
        return _along_cosine(1.0, last, min(1.0, (step - self.peak) / rest))


def _along_cosine(start: float, end: float, fraction: float) -> float:
    """Return the value between two values, at a fraction of half a cosine wave."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


class Milestones(Schedule):
    """Lower the learning rate at fixed points of the run (–).

    Args:
        total_steps: The number of steps of the run without early stopping.
        warmup: Number of steps of linear warm-up from 0; null: a quarter of the first epoch, at
            most 100 steps (without a run: none).
        decay: Factor of the learning rate at each point.
        points: Completed fractions of the run at which the learning rate falls.
    """

    def __init__(
        self,
        total_steps: int,
        *,
        warmup: NonNegativeInt | None = None,
        decay: Annotated[float, Bounds(ge=0, lt=1)] = 0.1,
        points: tuple[Annotated[float, Bounds(gt=0, lt=1)], ...] = (0.5, 0.75),
    ) -> None:
        super().__init__(total_steps, warmup=warmup)
        if not points:
            raise OptionError("points", "expected at least one number between 0 and 1")
        self.decay = decay
        self.points = points

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return decay to the power of the number of points that the run has passed."""
        return float(self.decay ** sum(step >= point * self.total_steps for point in self.points))


class Plateau(Schedule):
    """Lower the learning rate each time the score has not improved for some epochs (–).

    Args:
        total_steps: The number of steps of the run without early stopping.
        warmup: Number of steps of linear warm-up from 0; null: a quarter of the first epoch, at
            most 100 steps (without a run: none).
        decay: Factor of the learning rate at each plateau.
        patience: Number of epochs without improvement that make a plateau.
    """

    needs_scores = True

    def __init__(
        self,
        total_steps: int,
        *,
        warmup: NonNegativeInt | None = None,
        decay: Fraction = 0.5,
        patience: PositiveInt = 2,
    ) -> None:
        super().__init__(total_steps, warmup=warmup)
        self.decay = decay
        self.patience = patience

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return decay to the power of the number of plateaus."""
        return float(self.decay ** plateaus(scores, self.patience))


class AnnealRestart(Schedule):
    """Adam with restarts and annealing (Denkowski & Neubig 2017).

    Each time the score has not improved for some epochs, the run restarts from its best weights. It
    uses a lower learning rate, and the state of the optimiser and the average of the weights are
    reset. The weighting of the losses returns to its state after the best epoch. After the last
    restart, the run ends at the next plateau, so the `patience` of the run is best left out.

    Args:
        total_steps: The number of steps of the run without early stopping.
        warmup: Number of steps of linear warm-up from 0; null: a quarter of the first epoch, at
            most 100 steps (without a run: none).
        factor: Factor of the learning rate at each restart.
        restarts: Largest number of restarts.
        patience: Number of epochs without improvement before a restart, or before the end.
    """

    needs_scores = True

    def __init__(
        self,
        total_steps: int,
        *,
        warmup: NonNegativeInt | None = None,
        factor: Fraction = 0.5,
        restarts: PositiveInt = 2,
        patience: PositiveInt = 2,
    ) -> None:
        super().__init__(total_steps, warmup=warmup)
        self.decay = factor
        self.restarts = restarts
        self.patience = patience

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return decay to the power of the number of restarts."""
        return float(self.decay ** min(self.restarts, plateaus(scores, self.patience)))

    def restarting(self, scores: Sequence[float]) -> bool:
        """Return whether the run restarts after the last epoch."""
        # Derived from the scores rather than stored, as schedules have no state.
        before = plateaus(scores[:-1], self.patience)
        return before < plateaus(scores, self.patience) <= self.restarts

    def finished(self, scores: Sequence[float]) -> bool:
        """Return whether there was another plateau after the last restart."""
        return plateaus(scores, self.patience) > self.restarts


def plateaus(scores: Sequence[float], patience: int) -> int:
    """Return the number of times that the score did not improve for `patience` epochs.

    >>> plateaus([0.1, 0.3, 0.2, 0.3, 0.4, 0.4, 0.4], 2)
    2
    """
    best, waited, count = -math.inf, 0, 0
    for score in scores:
        if score > best:
            best, waited = score, 0
        elif (waited := waited + 1) == patience:
            waited, count = 0, count + 1
    return count


SCHEDULES: Registry[Schedule] = Registry(
    "schedule",
    Schedule,
    {
        "constant": Constant,
        "linear": Linear,
        "cosine": Cosine,
        "cosine_restarts": CosineRestarts,
        "one_cycle": OneCycle,
        "milestones": Milestones,
        "slanted": SlantedTriangular,
        "plateau": Plateau,
        "anneal_restart": AnnealRestart,
    },
)
