"""The results of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mtl.trained_model import TrainedModel, load
from mtl.tuning.settings import BEST, ObjectiveName, TuneSettings, trial_folder

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from mtl.tuning.study import SharedStudy

_STATES: Mapping[str, Literal["complete", "pruned", "failed", "running", "waiting"]] = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}


@dataclass(frozen=True)
class TrialResult:
    """One trial of a search.

    Args:
        name: Its number, from 1.
        state: How it ended: `complete`, `pruned` if it was stopped for its low scores, `failed`; or
            `running` and `waiting`.
        params: Path of each range to its value, or to the text of its choice.
        values: Objective to its value. A trial that was stopped has its best dev score so far.
        epoch: The epoch of the dev score, from 1; None if there is none.
        seconds: Duration of its process.
        threads: Number of its CPU threads; None: as in the run file.
        folder: Its run folder.
        error: The error of a failed trial.
        on_front: Whether no other completed trial is at least as good in all objectives and better
            in one.
    """

    name: int
    state: Literal["complete", "pruned", "failed", "running", "waiting"]
    params: Mapping[str, Any]
    values: Mapping[str, float]
    epoch: int | None
    seconds: float
    threads: int | None
    folder: Path
    error: str = ""
    on_front: bool = False


@dataclass(frozen=True)
class Tuned:
    """The result of a search.

    Args:
        folder: The folder of the study and its trials.
        objectives: The objectives.
        trials: All trials, in the order of their numbers.
        importance: Path of each range to the share of the variance of the score that it explains
            alone, with the sum 1 (Hutter et al. 2014); a text that says why there is none.
    """

    folder: Path
    objectives: Sequence[ObjectiveName]
    trials: Sequence[TrialResult]
    importance: Mapping[str, float] | str

    @property
    def completed(self) -> list[TrialResult]:
        """The completed trials, the best dev score first."""
        return completed(self.trials)

    @property
    def best(self) -> TrialResult:
        """The completed trial with the best dev score, the first of equal ones."""
        return self.completed[0]

    @property
    def front(self) -> list[TrialResult]:
        """The trials on the Pareto front, the best dev score first."""
        return [trial for trial in self.completed if trial.on_front]

    @property
    def best_file(self) -> Path:
        """The run file of the best trial."""
        return self.folder / BEST

    @property
    def model(self) -> TrainedModel:
        """The model of the best trial, loaded from its run folder."""
        return load(self.best.folder)


def trials_of(study: SharedStudy, settings: TuneSettings, folder: Path) -> list[TrialResult]:
    """Return the trials of a study so far, in the order of their numbers."""
    front = study.front()
    trials = [_result(trial, settings, folder, trial.number in front) for trial in study.trials()]
    return sorted(trials, key=lambda trial: trial.name)


def completed(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the completed trials, the best dev score first."""
    found = [trial for trial in trials if trial.state == "complete"]
    return sorted(found, key=lambda trial: -trial.values["score"])


def _result(trial: FrozenTrial, settings: TuneSettings, folder: Path, front: bool) -> TrialResult:
    attributes, scores = trial.user_attrs, trial.intermediate_values
    name, epoch = attributes.get("name", trial.number + 1), attributes.get("epoch")
    state = _STATES[trial.state.name]
    values: dict[str, float] = {}
    if state == "complete":
        values = dict(zip(settings.objectives, trial.values, strict=True))
    elif state == "pruned" and scores:
        epoch = max(scores, key=lambda own: scores[own])
        values = {"score": scores[epoch]}
    return TrialResult(
        name=name,
        state=state,
        params=trial.params,
        values=values,
        epoch=epoch,
        seconds=attributes.get("seconds", 0.0),
        threads=attributes.get("threads"),
        folder=trial_folder(folder, name),
        error=attributes.get("error", ""),
        on_front=front,
    )


def shown_value(value: Any) -> str:
    """Return a value of a range for tables."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def shown_values(params: Mapping[str, Any]) -> str:
    """Return the values of a trial on one line."""
    names = short_names(list(params))
    return ", ".join(f"{names[path]} {shown_value(value)}" for path, value in params.items())


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Return for each path its last words, as many as make it differ from the others.

    >>> short_names(["trunk.dropout", "tasks.a.weight", "tasks.b.weight"])
    {'trunk.dropout': 'dropout', 'tasks.a.weight': 'a.weight', 'tasks.b.weight': 'b.weight'}
    """
    names = {}
    for path in paths:
        words = path.split(".")
        others = [f".{other}" for other in paths if other != path]
        ends = (".".join(words[start:]) for start in range(len(words) - 1, -1, -1))
        names[path] = next(
            (end for end in ends if not any(other.endswith(f".{end}") for other in others)), path
        )
    return names


def shown_objective(name: str, value: float) -> str:
    """Return the value of an objective for tables: speed in tokens/s, size in kB."""
    if name == "speed":
        return f"{value:,.0f}"
    return f"{value / 1000:,.0f}" if name == "size" else f"{value:.4f}"
