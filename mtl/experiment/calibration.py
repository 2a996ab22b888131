"""Temperatures of the probabilities of a model, fitted on the development sets of its run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.errors import MtlError
from mtl.experiment.build import head_owner
from mtl.experiment.experiment import score_labels
from mtl.inference.base import BasePredictor
from mtl.inference.temperature import Temperatures
from mtl.metrics.calibration import Reliability
from mtl.options import count

ByKind = Mapping[str, Reliability]
"""Kind of answers, such as "words" or "spans", to the answers."""

_FEW = 200
"""Fewer labels than these give a note."""
_NO_DEV = "its corpus has no dev set"


@dataclass(frozen=True)
class Calibration:
    """The temperatures of a model, and its confidences before and after they were fitted.

    `before` and `after` are measured on the sentences that the temperatures were fitted on. For an
    honest figure, evaluate the test set.

    Args:
        temperatures: Task to its temperature.
        counts: Task to the numbers of gold labels, and of spans, that its head was fitted on.
        before: Task to its answers by kind, at temperature 1.
        after: Task to its answers by kind, at the fitted temperature.
        skipped: Task to the reason why it has no temperature.
        shared: Other task to the task whose head it has, and so its temperature.
    """

    temperatures: Mapping[str, Temperatures]
    counts: Mapping[str, tuple[int, int]]
    before: Mapping[str, ByKind]
    after: Mapping[str, ByKind]
    skipped: Mapping[str, str]
    shared: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration as JSON types, as `mtl calibrate --json` prints it."""
        tasks = {
            task: {
                "temperature": temperature._asdict(),
                "fitted_on": dict(zip(("labels", "spans"), self.counts[task], strict=True)),
                "before": {kind: own.to_dict() for kind, own in self.before[task].items()},
                "after": {kind: own.to_dict() for kind, own in self.after[task].items()},
            }
            for task, temperature in self.temperatures.items()
        }
        return {"tasks": tasks, "skipped": dict(self.skipped), "shared": dict(self.shared)}

    def notes(self) -> Iterator[str]:
        """Yield notes for the user: tasks without a temperature, and doubtful temperatures."""
        from mtl.training.calibration import LIMITS

        for task, reason in self.skipped.items():
            yield f"{task}: not calibrated: {reason}"
        for task, other in self.shared.items():
            yield f"{task}: has the temperature of {other}, whose head it shares"
        for task, temperature in self.temperatures.items():
            for kind, number, own in zip(
                temperature._fields, self.counts[task], temperature, strict=True
            ):
                if kind == "spans" and "spans" not in self.after[task]:
                    continue
                if number < _FEW:
                    # A set counts once, whatever the number of labels that it may contain.
                    noun = "set" if "sets" in self.after[task] else kind.removesuffix("s")
                    found = count(number, noun)
                    yield f"{task}: fitted on only {found}, so its confidences are uncertain"
                if not 1.01 * LIMITS[0] < own < LIMITS[1] / 1.01:
                    yield f"{task}: the temperature of {kind} is at its limit, {own:.3g}"

    def __str__(self) -> str:
        lines = []
        for task, temperature in self.temperatures.items():
            errors = ", ".join(
                f"{kind} {own.error():.4f} → {self.after[task][kind].error():.4f} "
                f"(temperature {temperature_of(temperature, kind):.3f})"
                for kind, own in self.before[task].items()
            )
            lines.append(f"{task}: calibration error of {errors}")
        return "\n".join([*lines, *self.notes()])


def fit_temperatures(
    run: Run, predictor: BasePredictor, corpora: Sequence[Corpus], tasks: Sequence[str]
) -> Calibration:
    """Fit a temperature per head, and set the temperatures of the predictor.

    Tasks that share a head share its temperature, also those that are not named or have no dev set.

    Args:
        run: The run that describes the tasks.
        predictor: The predictor of the model.
        corpora: Corpora of the run; those without a dev set are left out.
        tasks: The tasks.

    Raises:
        MtlError: No task can be calibrated; the message says why.
    """
    from mtl.training.calibration import fit_temperature, likelihood, obstacle, span_likelihood

    dev = {own.name: own.splits["dev"] for own in corpora if "dev" in own.splits}
    skipped: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for task in tasks:
        if reason := obstacle(predictor, task):
            skipped[task] = reason
        elif run.tasks[task].corpus not in dev:
            skipped[task] = _NO_DEV
        else:
            groups.setdefault(_owner(run, task), []).append(task)
    temperatures: dict[str, Temperatures] = {}
    counts: dict[str, tuple[int, int]] = {}
    for users in groups.values():
        splits = [(dev[run.tasks[task].corpus], task) for task in users]
        labels = [likelihood(predictor, *own) for own in splits]
        if not (number := sum(own for _, own in labels)):
            skipped |= dict.fromkeys(users, "its dev set has no labels")
            continue
        spans = [
            span_likelihood(predictor, *own) for own in splits if predictor.schemes.get(own[1])
        ]
        temperature = fit_temperature(_total(labels))
        found = sum(own for _, own in spans)
        own = Temperatures(temperature, fit_temperature(_total(spans)) if found else temperature)
        temperatures |= dict.fromkeys(users, own)
        counts |= dict.fromkeys(users, (number, found))
    if not temperatures:
        reasons = "; ".join(f"{task}: {reason}" for task, reason in skipped.items())
        remedy = "; add a split dev to a corpus" if _NO_DEV in skipped.values() else ""
        raise MtlError(f"no task can be calibrated: {reasons}{remedy}")
    fitted = [task for task in tasks if task in temperatures]
    named = {_owner(run, task): task for task in reversed(fitted)}
    shared = {
        task: named[_owner(run, task)]
        for task in predictor.targets
        if task not in temperatures and _owner(run, task) in named
    }
    skipped = {task: reason for task, reason in skipped.items() if task not in shared}
    others = {
        **{t: v for t, v in predictor.temperatures.items() if t not in temperatures},
        **{task: temperatures[user] for task, user in shared.items()},
    }
    measured = []
    for fitted_ones in ({}, temperatures):
        predictor.temperatures = {**others, **fitted_ones}
        measured.append(score_labels(run, predictor, corpora, "dev", fitted, confidence=True))
    before, after = (evaluation.reliability for evaluation in measured)
    ordered = {task: temperatures[task] for task in fitted}
    return Calibration(ordered, counts, before, after, skipped, shared)


def temperature_of(temperature: Temperatures, kind: str) -> float:
    """Return the temperature of a kind of answers."""
    return temperature.spans if kind == "spans" else temperature.labels


def _total(parts: Sequence[tuple[Callable[[float], float], int]]) -> Callable[[float], float]:
    return lambda temperature: sum(nll(temperature) for nll, _ in parts)


def _owner(run: Run, task: str) -> str:
    """Return the task that owns the head of a task."""
    try:
        return head_owner(run, task)
    except KeyError:  # an ensemble may lack the owner
        return task
