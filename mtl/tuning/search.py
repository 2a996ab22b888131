"""The search itself: it starts trials, stops bad ones, and keeps the best."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from mtl.config.load import Config
from mtl.config.overrides import Overrides
from mtl.config.run import Run
from mtl.config.space import Space
from mtl.data.workers import cores
from mtl.display.console import notes_console, tell
from mtl.display.reading import show_import, show_reading
from mtl.display.training import scoring_bar
from mtl.errors import ConfigError, MtlError, not_installed
from mtl.experiment import load_corpora
from mtl.experiment.checks.scores import scorable_tasks
from mtl.experiment.config import load_search_space
from mtl.experiment.folder import check_place
from mtl.files import atomic_write
from mtl.options import count
from mtl.runs.checkpoint import to_device
from mtl.training.interrupt import Interrupt
from mtl.tuning.best import write_best
from mtl.tuning.results import (
    TrialResult,
    Tuned,
    completed,
    shown_objective,
    shown_values,
    trials_of,
)
from mtl.tuning.settings import (
    BEST,
    FILES,
    JOURNAL,
    ObjectiveName,
    PruningName,
    SamplerName,
    TuneSettings,
    trial_folder,
)
from mtl.tuning.trial import RunningTrial

if TYPE_CHECKING:
    from optuna.trial import Trial
    from rich.progress import Progress

    from mtl.tuning.study import SharedStudy

_TURN = 0.1
"""Seconds between two checks of the running trials."""
_ALIVE_EVERY = 60.0
"""Seconds between two signs of life of a trial."""
_LOOK_AGAIN = 5.0
"""Seconds until the study is asked again for a trial to start, after there was none."""
_UNITS = {"score": "", "speed": " tokens/s", "size": " kB"}
_FREE = {"training.device", "training.threads"}
"""Keys that may differ between the processes of a study."""

__all__ = ["Tuned", "tune"]


def tune(
    config: Config,
    overrides: Overrides = (),
    *,
    trials: int = 20,
    minutes: float | None = None,
    jobs: int = 1,
    sampler: SamplerName = "tpe",
    pruning: PruningName | None = None,
    objectives: Sequence[ObjectiveName | str] = ("score",),
    seed: int = 1,
    storage: str | None = None,
    output: str | PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | None = None,
    trust: bool = False,
) -> Tuned:
    """Search for the values of the ranges in a run file with which its model is best on dev sets.

    Each trial trains the run with one value per range, in a process of its own and into a run
    folder of its own. Test sets are not used. Ctrl-C and SIGTERM stop the trials after their
    current steps; the same call with `resume=True` continues them. The package `optuna` is needed.

    Args:
        config: The run file, or a dictionary with the content of one, with ranges such as
            `{search: [1.0e-4, 1.0e-2], log: true}` or `{search: {choices: [gru, lstm]}}` in place
            of values.
        overrides: Changes to it, also ranges: `{"trunk.dropout": {"search": [0.1, 0.5]}}`.
        trials: Number of trials of the study, failed and stopped ones included.
        minutes: Number of minutes after which no trial starts; None for no limit.
        jobs: Number of trials at a time. With several, each uses its share of the cores.
        sampler: How values are drawn: `tpe` by tree-structured Parzen estimators (Bergstra et al.
            2011), `gp` by a Gaussian process (Snoek et al. 2012), `random` at random.
        pruning: `median` stops a trial whose best dev score so far is below the median of the
            completed trials after the same epoch, from the sixth one on; `halving` lets about a
            third of the trials continue after 1, 3, 9, … epochs (Li et al. 2020); `none` stops
            none. None: `median`, or `none` for several objectives.
        objectives: `score`, the dev score of the run; also `speed`, tokens per second on the dev
            sets, and `size`, bytes of the model file. Several give a Pareto front.
        seed: Seed of the draws.
        storage: URL of a SQL database for the study, which several machines may share; None: a
            file in the folder.
        output: The folder of the study and its trials; None: `runs/`, the name of the run file and
            `-tune`.
        resume: Whether the study may exist already; then its trials count, and trials that were
            stopped continue. Several processes may search at once.
        progress: As for `mtl.train`.
        trust: As for `mtl.train`.

    Returns:
        The trials, the best one, and the importance of each range.

    Raises:
        MtlError: As for `mtl.train`; the run has no range or no dev score; no trial was completed;
            the study belongs to another run; or `optuna` is not installed.
    """
    chosen = cast("tuple[ObjectiveName, ...]", tuple(objectives))
    settings = TuneSettings(trials, minutes, jobs, sampler, pruning, chosen, seed, storage)
    space = load_search_space(config, overrides, on_import=show_import if trust else None)
    run = space.run()
    _check(run, space, config)
    folder = _folder(config, output)
    console = notes_console(progress)
    check_place(folder, resume, FILES)
    to_device(run.training.device)  # a missing device is an error before the data is read
    # Read here too: errors of the data end the search, and the trials find the data in the cache.
    corpora = load_corpora(run, progress=None if console.quiet else show_reading)
    if not scorable_tasks(run, corpora):
        raise MtlError("no task has a dev score to compare trials; add a split dev to a corpus")
    del corpora
    study = _open_study(folder, settings, space, run, resume)
    keep = partial(_write_best, folder / BEST, config, overrides, space)
    own = _Search(study, settings, space, folder, console, trust, keep)
    with Interrupt() as interrupt:
        own.run(interrupt)
    found = trials_of(study, settings, folder)
    if completed(found):
        own.keep_best()
        return Tuned(folder, settings.objectives, found, study.importance())
    failed = [trial.error for trial in found if trial.error]
    if failed:
        raise MtlError(f"{folder}: no trial was completed; the last one failed: {failed[-1]}")
    raise MtlError(f"{folder}: no trial was completed; continue with --resume")


def _check(run: Run, space: Space, config: Config) -> None:
    place = "config" if isinstance(config, Mapping) else str(config)
    if not space.ranges:
        raise MtlError(
            f"{place}: no range to search; write one in place of a value, such as "
            "training.optimizer.lr='{search: [1.0e-4, 1.0e-2], log: true}'"
        )
    if run.seeds > 1 or "seeds" in space.ranges:
        found = "a range" if "seeds" in space.ranges else run.seeds
        raise MtlError(
            f"{place}: seeds: expected 1, got {found}, since a trial has one model; train {BEST} "
            "with several seeds afterwards"
        )


def _folder(config: Config, output: str | PathLike[str] | None) -> Path:
    if output:
        return Path(output)
    if isinstance(config, Mapping):
        raise MtlError("output: expected a folder, since a dictionary has no file name")
    return Path("runs") / f"{Path(config).stem}-tune"


def _open_study(
    folder: Path, settings: TuneSettings, space: Space, run: Run, resume: bool
) -> SharedStudy:
    """Open the study of a folder or of a database, and check that it is about the same run."""
    try:
        from mtl.tuning.study import SharedStudy
    except ImportError as error:
        raise MtlError(not_installed("mtl tune", "tune", error)) from error
    name = folder.absolute().name
    study = SharedStudy(settings, folder / JOURNAL, name, space.ranges)
    folder.mkdir(parents=True, exist_ok=True)
    now = _description(space, run)
    before = study.space
    if before is None:
        study.space = now
        return study
    if not resume:
        raise MtlError(
            f"storage: the study {name!r} exists already; continue or join it with --resume, or "
            "choose another name with --output"
        )
    for path in {**now, **before}:
        if now.get(path) != before.get(path):
            raise MtlError(
                f"{folder}: was searched with {path} = {before.get(path)!r}, now it is "
                f"{now.get(path)!r}; give the same run file and overrides, or another --output"
            )
    return study


def _description(space: Space, run: Run) -> dict[str, Any]:
    """Return path to value or range, for the check that a study is about the same run."""
    flat: dict[str, Any] = {}

    def walk(value: Any, path: str) -> None:
        if path in space.ranges:
            flat[path] = str(space.ranges[path])
        elif isinstance(value, dict) and value:
            for key, child in value.items():
                walk(child, f"{path}.{key}" if path else key)
        elif path not in _FREE:
            flat[path] = value

    walk(run.model_dump(mode="json"), "")
    # Some ranges stand for a short form, which the complete run has in another place.
    return flat | {path: str(own) for path, own in space.ranges.items()}


def _write_best(
    path: Path, config: Config, overrides: Overrides, space: Space, best: TrialResult, run: Run
) -> None:
    values = space.plain(best.params)
    if run.training.threads is not None:
        values[("training", "threads")] = run.training.threads
    title = f"The best trial, {best.name}: dev score {best.values['score']:.6f}."
    write_best(path, config, overrides, values, run, title)


@dataclass
class _Active:
    """A running trial."""

    trial: Trial
    process: RunningTrial
    signed: float
    """When it gave a sign of life."""
    checked: float
    """When it was checked that no other process continues it."""
    last: int = 0
    """The last epoch that was compared with other trials."""
    pruned: bool = False

    @property
    def name(self) -> int:
        return int(self.trial.user_attrs["name"])


class _Search:
    """Runs the trials of a study, as far as this process does.

    Args:
        study: The study.
        settings: The settings.
        space: The search space.
        folder: The folder of the trials.
        console: The console.
        trust: As for `mtl.train`.
        write_best: Writes the run file of the best trial.
    """

    def __init__(
        self,
        study: SharedStudy,
        settings: TuneSettings,
        space: Space,
        folder: Path,
        console: Console,
        trust: bool,
        write_best: Callable[[TrialResult, Run], None],
    ) -> None:
        self.study = study
        self.settings = settings
        self.space = space
        self.folder = folder
        self.console = console
        self.trust = trust
        self.write_best = write_best
        self._active: list[_Active] = []
        self._best: int | None = None
        self._look = 0.0
        """When to look for a trial to start."""
        shared = settings.jobs > 1 and space.run().training.threads is None
        self._threads = max(1, cores() // settings.jobs) if shared else None
        """The number of threads of a trial; None: as in the run file."""

    def run(self, interrupt: Interrupt) -> None:
        """Run trials until there are enough, the time is over, or a signal comes."""
        settings, began = self.settings, time.monotonic()
        done = self._ended()
        ranges = count(len(self.space.ranges), "range")
        tell(
            self.console,
            f"{self.folder}: {count(settings.trials, 'trial')}, {ranges}, sampler "
            f"{settings.sampler}, pruning {settings.pruner}"
            + (f"; {done} have ended already" if done else ""),
        )
        if self._threads:
            each = count(self._threads, "thread")
            tell(self.console, f"{settings.jobs} trials at a time, each with {each}")
        try:
            with scoring_bar(self.console) as bar:
                line = bar.add_task("trials", total=settings.trials, completed=done)
                while not interrupt.wanted:
                    now = time.monotonic()
                    late = settings.minutes is not None and now - began > 60 * settings.minutes
                    if not late and len(self._active) < settings.jobs and now >= self._look:
                        self._start()
                        continue
                    if not self._active:
                        break
                    time.sleep(_TURN)
                    # A signal may go to all processes; a trial that it has ended has not failed.
                    if not interrupt.wanted:
                        self._poll(bar, line)
                else:
                    self._stop()
        except BaseException:
            for own in self._active:
                own.process.stop()
            raise

    def _ended(self) -> int:
        return sum(trial.state.is_finished() for trial in self.study.trials())

    def _start(self) -> None:
        """Start a trial, if there is one to start."""
        for name in self.study.requeue_dead():
            tell(self.console, f"trial {name}: its process was killed; the trial continues")
        if self.study.begun() >= self.settings.trials:
            self._look = time.monotonic() + _LOOK_AGAIN
            return
        trial = self.study.ask()
        name = trial.user_attrs["name"]
        trial.set_user_attr("threads", self._threads)
        try:
            run = self._run(trial.params, self._threads)
        except ConfigError as error:
            # Each value is allowed, but not all of them together.
            self._fail(trial, str(error).splitlines()[0])
            return
        process = RunningTrial(
            run,
            trial_folder(self.folder, name),
            speed="speed" in self.settings.objectives,
            trust=self.trust,
        )
        now = time.monotonic()
        self._active.append(_Active(trial, process, now, now))

    def _run(self, params: Mapping[str, Any], threads: int | None) -> Run:
        run = self.space.run(params)
        if threads is None:
            return run
        training = run.training.model_copy(update={"threads": threads})
        return run.model_copy(update={"training": training})

    def _poll(self, bar: Progress, line: Any) -> None:
        """Read new scores, stop bad trials, and store the results of the ended ones."""
        for own in list(self._active):
            ended = not own.process.running  # before the last scores are read
            now = time.monotonic()
            if (ended or now - own.checked > _LOOK_AGAIN) and self._is_lost(own, now):
                continue
            self._report(own)
            if ended:
                self._active.remove(own)
                self._end(own)
                self._look = 0.0
                bar.update(line, completed=self._ended())
            elif now - own.signed > _ALIVE_EVERY:
                self.study.sign(own.trial)
                own.signed = now

    def _is_lost(self, own: _Active, now: float) -> bool:
        """Return whether another process continues a trial: this one gave no sign of life."""
        own.checked = now
        if self.study.is_running(own.trial):
            return False
        self._active.remove(own)
        own.process.stop()
        own.process.wait()
        own.process.close()
        tell(self.console, f"trial {own.name}: another process of the study continues it")
        return True

    def _report(self, own: _Active) -> None:
        if len(self.settings.objectives) > 1:
            own.process.new_scores()
            return
        for epoch, score in own.process.new_scores():
            if own.pruned:
                break
            own.trial.report(score, epoch)
            own.last = epoch
            # After the last epoch there is nothing to save.
            if epoch < own.process.run.training.epochs and own.trial.should_prune():
                own.pruned = True
                own.process.stop()

    def _end(self, own: _Active) -> None:
        """Store the result of a trial whose process has ended."""
        values, error, log = own.process.close()
        seconds = time.monotonic() - own.process.began
        own.trial.set_user_attr("seconds", seconds)
        shown = shown_values(own.trial.params)
        if own.pruned:
            self.study.prune(own.trial)
            how = f"stopped after epoch {own.last}, below the others"
            tell(self.console, f"trial {own.name}: {how}; {shown}")
        elif error:
            with atomic_write(self.folder / f"trial-{own.name}.err") as file:
                file.write(log)
            self._fail(own.trial, error)
        else:
            assert own.process.best
            own.trial.set_user_attr("epoch", own.process.best[0])
            self.study.complete(own.trial, [values[name] for name in self.settings.objectives])
            best = self.keep_best() == own.name
            scores = ", ".join(
                f"{name} {shown_objective(name, values[name])}{_UNITS[name]}"
                for name in self.settings.objectives
            )
            tell(
                self.console,
                f"trial {own.name}: {scores}{' (best so far)' * best}, {seconds:.0f} s; {shown}",
            )

    def _fail(self, trial: Trial, error: str) -> None:
        self.study.fail(trial, error)
        shown = shown_values(trial.params)
        tell(self.console, f"trial {trial.user_attrs['name']}: failed: {error}; {shown}")

    def keep_best(self) -> int:
        """Write the run file of the best trial, unless it is there, and return its name."""
        best = completed(trials_of(self.study, self.settings, self.folder))[0]
        if best.name != self._best:
            self._best = best.name
            self.write_best(best, self._run(best.params, best.threads))
        return best.name

    def _stop(self) -> None:
        """Stop all trials with a checkpoint, and put them back into the queue."""
        for own in self._active:
            own.process.stop()
        for own in self._active:
            own.process.wait()
            own.process.close()
            self.study.requeue(own.trial.number)
        number = count(len(self._active), "trial")
        tell(self.console, f"stopped with {number} unfinished; --resume continues")
