"""Training and loading models from Python."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from rich.console import Console

from mtl.api.steps import Saving, describe_end, describe_place, follow_steps, restore, train_steps
from mtl.config.load import Config
from mtl.config.overrides import Overrides, extended
from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.data.given import GivenCorpus, located, read_given
from mtl.data.writer import ReadingProgress
from mtl.display.console import notes_console, tell
from mtl.display.labelling import show_teacher
from mtl.display.reading import show_import, show_reading
from mtl.errors import DataError, MtlError, TrainingError
from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.experiment.corpora import given_keys
from mtl.experiment.distillation.record import check_teachers, write_teachers
from mtl.experiment.distillation.teaching import teach
from mtl.experiment.distillation.transfer_set import TransferSet, find_transfer_set
from mtl.experiment.folder import (
    SEEDS,
    Begun,
    begun_processes,
    check_place,
    find_begun,
    remove_temporaries,
    start_folder,
)
from mtl.experiment.plan import describe, make_plan
from mtl.files import run_folder
from mtl.registry import OnImport
from mtl.runs.calibration import CALIBRATION, read_calibration
from mtl.runs.checkpoint import (
    MODEL,
    load_weights,
    seed_folder,
    seed_folders,
    to_device,
)
from mtl.runs.history import write_summary
from mtl.runs.lock import FolderLock
from mtl.trained_model import TrainedModel, load
from mtl.training.interrupt import Interrupt
from mtl.training.processes import Processes, is_restarted, join
from mtl.training.tracking import Tracking, check_trackers

__all__ = ["TrainedModel", "TrainedSeeds", "distil", "load", "train", "train_seeds"]


@dataclass(frozen=True)
class TrainedSeeds:
    """The models of a run that was trained with several seeds.

    Args:
        folder: The folder with one run folder per seed, and `summary.json`.
    """

    folder: Path

    @property
    def models(self) -> list[TrainedModel]:
        """The model of each seed, loaded from its run folder."""
        return [load(folder) for folder in seed_folders(self.folder)]


def train(
    config: Config,
    overrides: Overrides = (),
    *,
    data: Mapping[str, Any] | None = None,
    output: str | PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | None = None,
    trust: bool = False,
) -> TrainedModel | TrainedSeeds:
    """Train the model of a run file or of a dictionary, and write its run folder.

    Ctrl-C ends training after the current step, a second Ctrl-C at once; the best model so far is
    kept and returned. SIGTERM does the same, and then ends the program as usual. If the run file
    has `seeds: N` with N > 1, one model is trained per seed, in the run folders `seed-1` and so on.
    `summary.json` contains the mean and the standard deviation of their dev scores.

    Args:
        config: A run file, or a dictionary with its content. Paths in a dictionary are relative to
            the current folder.
        overrides: Overrides of keys: `{"training.epochs": 3}` or `["training.epochs=3"]`.
        data: Data in memory: a dictionary from corpus to the rows of the split `train`, or to a
            dictionary from split to rows. Rows are a list, a frame of pandas or polars, an Arrow
            table, or a `datasets.Dataset`; a `DatasetDict` is a dictionary of splits, and its
            `validation` is `dev`. A row is a dictionary with `text` or `tokens` and the columns of
            labels; or, for corpora with one column of labels, a pair of a text or list of words and
            its label.
        output: The run folder; None: `runs/` and the name of the run file.
        resume: Whether to continue from the last checkpoint in the folder, with the same data, or
            start if there is none. A finished run is not changed, so the call can be repeated until
            training is finished.
        progress: Whether to show the plan, the scores and a progress bar on standard error. None:
            show them, but the bar only on a terminal or in a notebook with ipywidgets. False: show
            nothing.
        trust: Whether to import (and run) modules outside mtl that a run folder names: the folder
            to resume or to start from. Modules that your own run file names are always imported.

    Returns:
        The trained model, or `TrainedSeeds` for several seeds. Both have `folder` and `models`.

    Raises:
        MtlError: The configuration or the data has an error; `config` is a dictionary and `output`
            is None; the folder exists, contains other files, or another process trains into it; or
            training was interrupted before each seed had a model.
    """
    join()  # first of all, so that an error is printed once
    given = read_given({} if data is None else data)
    on_import = show_import if trust else None
    run = load_config(config, overrides, given=given_keys(given), on_import=on_import)
    folder = output_folder(config, output)
    request = _request(resume, progress, given, on_import)
    with _advice(folder):
        if run.seeds > 1:
            _train_seeds(run, folder, request)
            return TrainedSeeds(folder)
        return _train(run, folder, request)[0]


def distil(
    teachers: Sequence[str | PathLike[str]],
    student: Config,
    overrides: Overrides = (),
    *,
    text: Sequence[str | PathLike[str]] = (),
    match: Mapping[str, Sequence[str]] | None = None,
    data: Mapping[str, Any] | None = None,
    output: str | PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | None = None,
    trust: bool = False,
) -> TrainedModel | TrainedSeeds:
    """Train a model on gold labels and on the outputs of trained models, its teachers.

    This function calls `train` with the section `distillation` set. Pass its other options as
    overrides, such as `{"distillation.temperature": 4}`. The outputs of the teachers are computed
    once and cached. The result is an ordinary run folder, which does not need the teachers.

    Args:
        teachers: The folders of finished runs.
        student: A run file, or a dictionary with its content.
        overrides: As for `train`.
        text: Files of unlabelled text.
        match: Task to a list of its teachers as `"FOLDER:TASK"`; an empty list: only gold labels.
            Default: all teachers with a task of the same name.
        data: As for `train`.
        output: As for `train`.
        resume: As for `train`; labelling continues too.
        progress: As for `train`.
        trust: As for `train`; also for the folders of the teachers.

    Returns:
        The trained model, or `TrainedSeeds` for several seeds.

    Raises:
        MtlError: As for `train`; no task has a teacher, or the teacher of a task does not know one
            of its labels.
    """
    # Absolute, as paths of overrides are relative to the run file.
    own: dict[str, Any] = {
        "distillation.teachers": [str(Path(folder).absolute()) for folder in teachers]
    }
    if text:
        own["distillation.text"] = [str(Path(file).absolute()) for file in text]
    own |= {f"distillation.match.{task}": list(places) for task, places in (match or {}).items()}
    return train(
        student,
        extended(overrides, own),
        data=data,
        output=output,
        resume=resume,
        progress=progress,
        trust=trust,
    )


def load_transfer_set(
    run: Run,
    corpora: Mapping[str, Corpus],
    on_import: OnImport | None,
    progress: ReadingProgress | None = None,
) -> TransferSet | None:
    """Load the teachers of a run and read its unlabelled text; None for a run without teachers.

    Args:
        run: The run.
        corpora: Its corpora by name.
        on_import: Allows the import of parts outside mtl that the teachers name; see
            `Registry.find`.
        progress: Displays the progress of reading files that are not in the cache.

    Raises:
        MtlError: A teacher cannot be loaded, or does not fit the tasks of the run.
    """
    if run.distillation is None:
        return None
    return find_transfer_set(run, corpora, load_teachers(run, on_import), progress)


def load_teachers(run: Run, on_import: OnImport | None) -> list[TrainedModel]:
    """Load the teachers of a run that has some; see `load_transfer_set`."""
    assert run.distillation
    device, trust = run.training.device, on_import is not None
    folders = map(run_folder, run.distillation.teachers)
    return [load(folder, device=device, trust=trust) for folder in folders]


def train_run_seeds(
    run: Run,
    folder: Path,
    *,
    resume: bool = False,
    progress: bool | None = None,
    trust: bool = False,
) -> TrainedSeeds:
    """Train one model per seed of a run that has been checked, also if there is only one seed.

    Each model has a folder of its own. Arguments and errors as for `train`.
    """
    request = _request(resume, progress, {}, show_import if trust else None)
    with _advice(folder):
        _train_seeds(run, folder, request)
    return TrainedSeeds(folder)


def train_run(
    run: Run,
    folder: Path,
    *,
    resume: bool = False,
    progress: bool | None = None,
    trust: bool = False,
) -> TrainedModel:
    """Train the model of a run that has been checked, for its first seed only.

    Arguments and errors as for `train`; Ctrl-C during training is an error too.
    """
    request = _request(resume, progress, {}, show_import if trust else None)
    with _advice(folder):
        model, stopped = _train(run.model_copy(update={"seeds": 1}), folder, request)
    if stopped:
        raise MtlError(f"{folder}: stopped before the end of training; continue with --resume")
    return model


def train_seeds(
    config: Config,
    overrides: Overrides = (),
    *,
    output: str | PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> Path:
    """Train one model per seed and return their folder. Deprecated: use `train`."""
    message = "train_seeds() is deprecated; train() trains runs with several seeds too"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    run = load_config(config, overrides)
    folder = output_folder(config, output)
    return train_run_seeds(run, folder, resume=resume, progress=progress).folder


@contextmanager
def _advice(folder: Path) -> Iterator[None]:
    """Add to a divergence that another run needs another folder."""
    try:
        yield
    except TrainingError as error:
        message = f"{error}. Before you train again, remove {folder}, or choose another --output"
        raise TrainingError(message) from error


def output_folder(config: Config, output: str | PathLike[str] | None) -> Path:
    """Return the run folder, by default `runs/` and the name of the run file."""
    if output:
        return Path(output)
    if isinstance(config, Mapping):
        raise MtlError("output: expected a folder for the run, since a dictionary has no file name")
    return Path("runs") / Path(config).stem


@dataclass(frozen=True)
class _Request:
    """The arguments of `train`, for one run or for the runs of several seeds.

    Args:
        resume: Whether the folder may contain the run already.
        console: The console for the plan and the scores.
        given: Corpus to its data, in place of files.
        on_import: Allows the import of parts outside mtl; see `Registry.find`.
        processes: The processes that train together.
    """

    resume: bool
    console: Console
    given: Mapping[str, GivenCorpus]
    on_import: OnImport | None
    processes: Processes

    def lock(self, folder: Path) -> AbstractContextManager[FolderLock | None]:
        """Return the lock of a folder, which the first process holds for all."""
        main = self.processes.main
        return FolderLock(folder, partial(tell, self.console)) if main else nullcontext()


def _request(
    resume: bool,
    progress: bool | None,
    given: Mapping[str, GivenCorpus],
    on_import: OnImport | None,
) -> _Request:
    processes = join()
    console = notes_console(progress if processes.main else False)
    # After a failure, torchrun starts the same command again.
    return _Request(resume or is_restarted(), console, given, on_import, processes)


def _for_processes(run: Run, folder: Path, request: _Request) -> Run:
    """Return the run with the number of processes for which its batch sizes are meant.

    A run that continues keeps the number with which it began, so that its steps stay the same.
    """
    if run.training.processes is not None:
        return run
    begun = request.processes.from_main(partial(begun_processes, folder))
    number = request.processes.world if begun is None else begun
    training = run.training.model_copy(update={"processes": number if number > 1 else None})
    return run.model_copy(update={"training": training})


def _train_seeds(run: Run, folder: Path, request: _Request) -> None:
    """Train one model per seed in folders below `folder`."""
    runs = {
        seed_folder(folder, seed): run.model_copy(update={"seed": seed, "seeds": 1})
        for seed in range(run.seed, run.seed + run.seeds)
    }
    runs = {path: _for_processes(own, path, request) for path, own in runs.items()}

    def check() -> None:
        check_place(folder, request.resume, SEEDS)
        remove_temporaries(folder)
        for path, seeded in runs.items():  # check all of them before one is trained
            check_place(path, request.resume)
            find_begun(path, seeded, request.on_import)

    main = request.processes.from_main
    main(partial(check_place, folder, request.resume, SEEDS))
    with request.lock(folder):
        main(check)
        for path, seeded in runs.items():
            tell(request.console, f"seed {seeded.seed}: {path}")
            _, stopped = _train(seeded, path, request)
            if stopped:
                raise MtlError(
                    f"{folder}: stopped before all seeds were trained; continue with --resume"
                )
        main(partial(write_summary, folder))


def _begin(run: Run, folder: Path, request: _Request) -> Begun:
    """Check a folder that is locked, and return the state of the run in it."""
    # Again, as another process may have been there until now.
    check_place(folder, request.resume)
    begun = find_begun(folder, run, request.on_import)
    remove_temporaries(folder)
    return begun


def _train(run: Run, folder: Path, request: _Request) -> tuple[TrainedModel, bool]:
    """Train a run in a folder of its own; return the model, and whether Ctrl-C came."""
    console, on_import, processes = request.console, request.on_import, request.processes
    to_device(run.training.device)  # a missing device is an error before the data is read
    trackers = check_trackers(run.training.track)
    run = _for_processes(run, folder, request)
    processes.from_main(partial(check_place, folder, request.resume))
    with request.lock(folder) as lock:
        begun = processes.from_main(partial(_begin, run, folder, request))
        if begun == "finished":
            tell(console, describe_end(folder, run.training.epochs))
            return load(folder, device=run.training.device, trust=on_import is not None), False
        reading = None if console.quiet else show_reading
        with processes.one_first():
            corpora = load_corpora(run, given=request.given, progress=reading)
            transfer = load_transfer_set(run, corpora, on_import, reading)
        if transfer and begun == "resumable":
            processes.from_main(partial(check_teachers, folder, transfer.fingerprints))
        try:
            experiment = prepare(run, corpora, on_import, transfer)
        except DataError as error:
            raise located(error, request.given) from error
        bar = partial(show_teacher, console)
        with processes.one_first():
            teaching = teach(experiment, corpora, transfer, bar) if transfer else None
        fingerprints = transfer.fingerprints if transfer else None
        transfer = None  # teachers are large, and not needed any more
        if teaching:
            experiment = replace(experiment, notes=[*experiment.notes, *teaching.notes])
        trainer = make_trainer(experiment, corpora, teaching, processes)
        start = f"{folder}: training starts from the beginning, since the folder has no checkpoint"
        if begun == "resumable":
            restore(trainer, folder, experiment, console)
            start = f"{folder}: training continues {describe_place(trainer)}"
        stopped = False
        if trainer.finished:
            tell(console, describe_end(folder, trainer.epoch))
        else:
            plan = list(describe(make_plan(experiment, corpora, trainer)))
            lines = [start, *plan] if request.resume else plan
            if (folder / CALIBRATION).is_file():
                remedy = f"fit the temperatures again after training: mtl calibrate {folder}"
                lines.append(f"note: {CALIBRATION} is removed, as the weights change; {remedy}")
            # From here on a signal waits for the end of the step or file.
            with Interrupt() as interrupt:
                saving = Saving(run.training.checkpoint.minutes if lock else None)
                processes.requests = lambda: [interrupt.wanted, saving.due]
                if lock:
                    start_folder(folder, experiment, resume=begun == "resumable")
                    if fingerprints:
                        write_teachers(folder, fingerprints)
                    tracking = None
                    if trackers:
                        tracking = Tracking(trackers, folder, run.model_dump(mode="json"))
                    stopped = train_steps(trainer, lock, console, lines, saving, tracking)
                else:
                    stopped = follow_steps(trainer)
        if not processes.from_main((folder / MODEL).is_file):
            raise MtlError(
                f"{folder}: no model; stopped before the end of the first epoch; continue with "
                "--resume"
            )
        processes.from_main(partial(load_weights, folder / MODEL, experiment.model))
        processes.copy_from_main(experiment.model)
        experiment.model.eval()
        model = TrainedModel(folder, experiment)
        # A finished run that was not trained any more keeps its temperatures.
        model.predictor.temperatures = read_calibration(folder, model.networks, model.tasks)
        return model, stopped
