"""A learning-rate range test: train with a rising rate, and watch the loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from mtl.config.load import Config
from mtl.config.overrides import Overrides
from mtl.config.run import Run
from mtl.display.reading import show_import, show_reading
from mtl.errors import MtlError, TrainingError
from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.experiment.checks.run import adversaries
from mtl.training.events import Step
from mtl.training.schedules import Schedule

DIVERGED = 4.0
"""The test ends when the loss is this many times its lowest value."""
_FIRST = 5
"""The number of losses of a task whose mean is its relative loss 1."""
_LEAST = 1e-6
"""Smaller relative losses, and negative ones, have no useful logarithm."""


@dataclass(frozen=True)
class RateTest:
    """The losses of a range test.

    Args:
        rates: The learning rate of each step; it rises by a constant factor.
        losses: The loss of each step before its update, relative to the first losses: the mean
            over the tasks of the step, without adversaries.
        smoothed: The losses after smoothing.
        lowest: The rate with the lowest smoothed loss.
        suggested: A tenth of `lowest`; None if the loss never falls.
        diverged: Whether the test ended early.
    """

    rates: Sequence[float]
    losses: Sequence[float]
    smoothed: Sequence[float]
    lowest: float
    suggested: float | None
    diverged: bool


class Rising(Schedule):
    """A factor of the learning rate that rises from `first` to `last` by a constant factor."""

    def __init__(self, total_steps: int, *, first: float, last: float) -> None:
        super().__init__(total_steps)
        self.first = first
        self.last = last

    def after_warmup(self, step: int, scores: Sequence[float]) -> float:
        """Return the factor."""
        share = step / max(1, self.total_steps - 1)
        return float(self.first * (self.last / self.first) ** share)


def find_rate(
    config: Config,
    overrides: Overrides = (),
    *,
    steps: int = 100,
    low: float = 1e-6,
    high: float = 10.0,
    trust: bool = False,
) -> RateTest:
    """Train a run from its initial weights with a rising learning rate (Smith 2017).

    The rate of step i of N is low · (high / low)^(i / (N − 1)). Learning rates of heads and layers
    rise with it, in proportion. Schedule, patience, averages of weights and gradual unfreezing of
    the run have no effect. The model is discarded.

    Args:
        config: A run file, or a dictionary with its content.
        overrides: Changes to the run file, such as `["trunk.dropout=0.3"]`.
        steps: The number of steps N.
        low: The learning rate of the first step.
        high: The learning rate of the last step.
        trust: As for `mtl.train`.

    Raises:
        MtlError: An error in the configuration or the data, or all tasks are adversaries.
    """
    if not low < high:
        raise MtlError(f"expected a lowest rate below the highest one, got {low:g} and {high:g}")
    on_import = show_import if trust else None
    run = load_config(config, overrides, on_import=on_import)
    if run.distillation:
        raise MtlError("the test trains on gold labels; add the override distillation=null")
    hidden = adversaries(run)
    if hidden.issuperset(run.tasks):
        raise MtlError("all tasks are adversaries, whose losses are not to fall; add another task")
    if steps < len(run.corpora):
        raise MtlError(f"expected at least one step for each of {len(run.corpora)} corpora")
    run = _in_one_epoch(run, steps)
    corpora = load_corpora(run, progress=show_reading)
    trainer = make_trainer(prepare(run, corpora, on_import), corpora)
    base = trainer.optimizer.param_groups[0]["lr"]
    trainer.learning_rate = Rising(steps, first=low / base, last=high / base)
    trainer.evaluate = None
    rates: list[float] = []
    found: list[dict[str, float]] = []
    diverged = False
    try:
        for event in trainer.run():
            if not isinstance(event, Step):
                break
            losses = {task: loss for task, loss in event.losses.items() if task not in hidden}
            if losses:  # a step may have adversaries alone
                # Not `event.lr`: it is also scaled with the length of a language model's chunk.
                rates.append(base * trainer.learning_rate.factor(event.step, ()))
                found.append(losses)
                diverged = has_diverged(relative(found), steps)
            if diverged:
                break
    except TrainingError:  # gradients or weights are not finite
        diverged = True
    if len(found) < 2:
        raise MtlError(f"no step could be trained with the rate {low:g}; lower the first rate")
    return conclude(rates, relative(found), steps, diverged=diverged)


def _in_one_epoch(run: Run, steps: int) -> Run:
    """Return the run with all steps in its first epoch, which depends on no dev score."""
    tuning = run.training.fine_tuning
    changes = {
        "epochs": 1,
        "epoch_steps": steps,
        "average": None,
        "fine_tuning": tuning and tuning.model_copy(update={"gradual": False}),
    }
    return run.model_copy(update={"training": run.training.model_copy(update=changes)})


def relative(steps: Sequence[Mapping[str, float]]) -> list[float]:
    """Return the mean loss of the tasks of each step, each divided by the first losses of its task.

    >>> relative([{"a": 2.0}, {"b": 10.0}, {"a": 1.0, "b": 10.0}])
    [1.3333333333333333, 1.0, 0.8333333333333333]
    """
    first: dict[str, list[float]] = defaultdict(list)
    for losses in steps:
        for task, loss in losses.items():
            if len(first[task]) < _FIRST:
                first[task].append(loss)
    scales = {task: max(fmean(own), _LEAST) for task, own in first.items()}
    return [fmean(loss / scales[task] for task, loss in losses.items()) for losses in steps]


def has_diverged(losses: Sequence[float], steps: int) -> bool:
    """Return whether the mean of the last losses is far above the lowest such mean before."""
    width = max(1, steps // 25)
    means = np.convolve(losses, np.full(width, 1 / width), "valid")
    return len(means) > 0 and not means[-1] <= DIVERGED * means.min()


def smooth(losses: Sequence[float], width: float) -> list[float]:
    """Return weighted geometric means of neighbouring losses, with Gaussian weights.

    Geometric means, as a single loss after divergence would hide the lowest ones before it.

    Args:
        losses: The losses, which are positive.
        width: The standard deviation of the weights, in steps.
    """
    places = np.arange(len(losses))
    weights = np.exp(-0.5 * ((places[:, None] - places) / width) ** 2)
    found: list[float] = np.exp(weights @ np.log(losses) / weights.sum(1)).tolist()
    return found


def conclude(
    rates: Sequence[float], losses: Sequence[float], steps: int, *, diverged: bool
) -> RateTest:
    """Return the test with the rate of the lowest loss, and the suggested one.

    Args:
        rates: The rates of the steps that were trained.
        losses: Their relative losses.
        steps: The number of steps from the first to the last rate, which sets the smoothing.
        diverged: Whether the test ended early.
    """
    smoothed = smooth([max(loss, _LEAST) for loss in losses], max(1.0, steps / 25))
    bottom = min(range(len(smoothed)), key=smoothed.__getitem__)
    # The loss is lowest just before the rate is too high for a longer training.
    suggested = rates[bottom] / 10 if bottom else None
    return RateTest(rates, losses, smoothed, rates[bottom], suggested, diverged)
