"""The study of a search in Optuna: its trials, its storage, and the values to try next.

A trial of the study has attributes of this module beside its values. Its `name` is the number of
its run folder: a trial that was stopped or killed is marked as failed, and a new one with the same
name and values, waiting to be run, takes its place.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from mtl.config.search import Choices, Range
from mtl.errors import MtlError, not_installed
from mtl.tuning.settings import HIGHER_IS_BETTER, PruningName, SamplerName, TuneSettings

_DEAD_AFTER = 600.0
"""Seconds without a sign of life after which the process of a trial counts as killed."""
_LEAST = 10
"""Number of completed trials from which importances are computed."""
_SPACE = "mtl"
"""Attribute of a study with its run and ranges."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


class SharedStudy:
    """A study that several processes may use at once.

    Args:
        settings: The settings of the search.
        journal: The file of the study, if the settings name no database.
        name: Its name in the storage.
        ranges: The ranges of the run file by their paths.

    Raises:
        MtlError: The storage cannot be opened, or the sampler needs a package.
    """

    def __init__(
        self, settings: TuneSettings, journal: Path, name: str, ranges: Mapping[str, Range]
    ) -> None:
        directions = [
            StudyDirection.MAXIMIZE if HIGHER_IS_BETTER[name] else StudyDirection.MINIMIZE
            for name in settings.objectives
        ]
        self._distributions = {path: _distribution(own) for path, own in ranges.items()}
        sampler = _Seeded(_sampler(settings.sampler), settings.seed)
        self._study = optuna.create_study(
            storage=_open(settings.storage, journal),
            sampler=sampler,
            pruner=_pruner(settings.pruner),
            study_name=name,
            directions=directions,
            load_if_exists=True,
        )
        if self._study.directions != directions:
            raise MtlError(f"study {name!r}: has other objectives; give the same ones")

    @property
    def space(self) -> Any:
        """The description of the run from the beginning of the study; None before."""
        return self._study.user_attrs.get(_SPACE)

    @space.setter
    def space(self, description: Any) -> None:
        self._study.set_user_attr(_SPACE, description)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, without those that another one has replaced."""
        trials = self._study.get_trials(deepcopy=False)
        replaced = {trial.user_attrs.get("replaces") for trial in trials}
        return [trial for trial in trials if trial.number not in replaced]

    def begun(self) -> int:
        """Return the number of trials that run or have ended."""
        return sum(trial.state != TrialState.WAITING for trial in self.trials())

    def ask(self) -> Trial:
        """Return a new trial: one that was stopped before, or one with new values."""
        trial = self._study.ask(self._distributions)
        if "name" not in trial.user_attrs:
            trial.set_user_attr("name", trial.number + 1)
        for name, value in _signature().items():
            trial.set_user_attr(name, value)
        return trial

    def sign(self, trial: Trial) -> None:
        """Give a sign of life of a running trial."""
        trial.set_user_attr("alive", time.time())

    def is_running(self, trial: Trial) -> bool:
        """Return whether a trial that was begun here is not in the hands of another process."""
        found = self._study.get_trials(deepcopy=False)[trial.number]
        return found.state == TrialState.RUNNING

    def complete(self, trial: Trial, values: Sequence[float]) -> None:
        """Store the values of the objectives of a trial."""
        self._study.tell(trial, list(values))

    def prune(self, trial: Trial) -> None:
        """Store that a trial was stopped for its low scores."""
        self._study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: Trial, error: str) -> None:
        """Store that a trial has failed."""
        trial.set_user_attr("error", error)
        self._study.tell(trial, state=TrialState.FAIL)

    def requeue(self, number: int) -> bool:
        """Put a trial that was stopped or killed back into the queue.

        Returns:
            Whether this was done: another process may have been faster.
        """
        trial = self._study.get_trials(deepcopy=False)[number]
        try:
            # If this process is killed before the second step, `_lost` finds the trial by these.
            for name, value in _signature().items():
                self._study._storage.set_trial_user_attr(trial._trial_id, name, value)
            self._study.tell(number, state=TrialState.FAIL)
        except (ValueError, UpdateFinishedTrialError):
            return False
        self._replace(trial)
        return True

    def _replace(self, trial: FrozenTrial) -> None:
        number = trial.number
        own = {"name": trial.user_attrs.get("name", number + 1), "replaces": number}
        self._study.enqueue_trial(trial.params, user_attrs=own)

    def requeue_dead(self) -> list[int]:
        """Put trials whose process was killed back into the queue, and return their names."""
        dead = [t for t in self.trials() if t.state == TrialState.RUNNING and _is_dead(t)]
        again = [t for t in dead if self.requeue(t.number)]
        for trial in self._lost():
            self._replace(trial)
            again.append(trial)
        return [t.user_attrs.get("name", t.number + 1) for t in again]

    def _lost(self) -> list[FrozenTrial]:
        """Return trials that a killed process has marked as failed, without a new one."""
        failed = (t for t in self.trials() if t.state == TrialState.FAIL)
        return [t for t in failed if "error" not in t.user_attrs and _is_dead(t)]

    def importance(self) -> dict[str, float] | str:
        """Return the importance of each range for the score; or why there is none, in words.

        It is the share of the variance of the score that a range explains alone, by functional
        analysis of variance with a random forest (Hutter et al. 2014), scaled to the sum 1.
        """
        completed = [t for t in self.trials() if t.state == TrialState.COMPLETE]
        if len(completed) < _LEAST:
            return f"it needs {_LEAST} completed trials, and there are {len(completed)}"
        if len({trial.values[0] for trial in completed}) == 1:
            return "all completed trials have the same score"
        try:
            # Imported here, since scikit-learn takes seconds.
            from optuna.importance import FanovaImportanceEvaluator, get_param_importances

            return get_param_importances(
                self._study,
                evaluator=FanovaImportanceEvaluator(seed=0),
                target=lambda trial: trial.values[0],
            )
        except ImportError as error:
            return not_installed("it", "tune", error)

    def front(self) -> set[int]:
        """Return the numbers of the trials on the Pareto front."""
        return {trial.number for trial in self._study.best_trials}


class _Seeded(BaseSampler):
    """A sampler that is made anew for each trial, with a seed from the number of the trial.

    Processes that share a study, or continue it, then draw different values, and a search with one
    job can be repeated.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._own = make(seed % 2**32)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        words = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)
        self._own = self._make(int(words[0]))
        self._own.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._own.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._own.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._own.sample_independent(study, trial, param_name, param_distribution)


def _sampler(name: SamplerName) -> Callable[[int], BaseSampler]:
    if name == "random":
        return lambda seed: RandomSampler(seed=seed)
    if name == "tpe":
        return lambda seed: TPESampler(seed=seed)
    try:
        import scipy  # noqa: F401 (GPSampler imports it late)
    except ImportError as error:
        raise MtlError(not_installed("the sampler gp", "tune", error)) from error
    return lambda seed: GPSampler(seed=seed)


def _pruner(name: PruningName) -> BasePruner:
    if name == "median":
        return MedianPruner(n_startup_trials=5)
    if name == "halving":
        return SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    return NopPruner()


def _distribution(own: Range) -> BaseDistribution:
    if isinstance(own, Choices):
        return CategoricalDistribution(list(own.by_label))
    low, high = own.low.value, own.high.value
    if own.whole:
        return IntDistribution(low, high, log=own.log, step=int(own.step or 1))
    step = None if own.step is None else float(own.step)
    return FloatDistribution(float(low), float(high), log=own.log, step=step)


def _open(url: str | None, journal: Path) -> BaseStorage:
    try:
        return RDBStorage(url) if url else _open_journal(journal)
    except ValueError as error:
        if url is None:
            raise MtlError(f"{journal}: damaged ({error}); search into another --output") from error
        raise MtlError(f"storage: {error}") from error
    except OSError as error:
        raise MtlError(f"{journal}: cannot be opened: {error.strerror or error}") from error
    except ImportError as error:
        raise MtlError(f"storage: {str(error).splitlines()[0]}") from error
    except Exception as error:  # SQLAlchemy and each driver have classes of their own
        # Without the URL, which may contain a password.
        kind = type(error).__name__
        raise MtlError(
            "storage: cannot be opened; expected the URL of a SQL database, such as "
            f"sqlite:////shared/study.db or postgresql://user@host/database ({kind})"
        ) from error


def _open_journal(path: Path) -> BaseStorage:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = JournalFileOpenLock(str(path))
    backend = JournalFileBackend(str(path), lock)
    lock.acquire()
    try:
        # A process that was killed, or a full disk, may have left a part of a line.
        with open(path, "r+b") as file:
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)
    finally:
        lock.release()
    return JournalStorage(backend)


def _signature() -> dict[str, Any]:
    """Return the attributes of a trial in the hands of this process."""
    return {"process": [socket.gethostname(), os.getpid()], "alive": time.time()}


def _is_dead(trial: FrozenTrial) -> bool:
    """Return whether the process of a trial without a result was killed."""
    host, process = trial.user_attrs.get("process", ["", 0])
    if os.name == "posix" and host == socket.gethostname() and process != os.getpid():
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except OSError:  # another user's process
            pass
    began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - float(trial.user_attrs.get("alive", began)) > _DEAD_AFTER
