"""Training of one run in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from mtl.api.steps import Saving, describe_end, describe_place, follow_steps, restore, train_steps
from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.data.given import GivenCorpus, located
from mtl.data.writer import ReadingProgress
from mtl.display.console import tell
from mtl.display.labelling import show_teacher
from mtl.display.reading import show_reading
from mtl.errors import DataError, MtlError
from mtl.experiment import Experiment, load_corpora, make_trainer, prepare
from mtl.experiment.distillation.record import check_teachers, write_teachers
from mtl.experiment.distillation.teaching import teach
from mtl.experiment.distillation.transfer_set import TransferSet, find_transfer_set
from mtl.experiment.folder import (
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
    to_device,
)
from mtl.runs.lock import FolderLock
from mtl.trained_model import TrainedModel, load
from mtl.training.interrupt import Interrupt
from mtl.training.processes import Processes
from mtl.training.tracking import Tracker, Tracking, check_trackers
from mtl.training.trainer import Trainer


@dataclass(frozen=True)
class TrainingRequest:
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


def for_processes(run: Run, folder: Path, request: TrainingRequest) -> Run:
    """Return the run with the number of processes for which its batch sizes are meant.

    A run that continues keeps the number with which it began, so that its steps stay the same.
    """
    if run.training.processes is not None:
        return run
    begun = request.processes.from_main(partial(begun_processes, folder))
    number = request.processes.world if begun is None else begun
    training = run.training.model_copy(update={"processes": number if number > 1 else None})
    return run.model_copy(update={"training": training})


def train_one_run(run: Run, folder: Path, request: TrainingRequest) -> tuple[TrainedModel, bool]:
    """Train a run in a folder of its own; return the model, and whether Ctrl-C came."""
    console, processes = request.console, request.processes
    to_device(run.training.device)  # a missing device is an error before the data is read
    trackers = check_trackers(run.training.track)
    run = for_processes(run, folder, request)
    processes.from_main(partial(check_place, folder, request.resume))
    with request.lock(folder) as lock:
        begun = processes.from_main(partial(_begin, run, folder, request))
        if begun == "finished":
            tell(console, describe_end(folder, run.training.epochs))
            trust = request.on_import is not None
            return load(folder, device=run.training.device, trust=trust), False
        ready = _prepare(run, folder, request, resumed=begun == "resumable")
        stopped = False
        if ready.trainer.finished:
            tell(console, describe_end(folder, ready.trainer.epoch))
        else:
            stopped = _run(ready, folder, request, lock, trackers)
        return _best_model(folder, ready.experiment, processes), stopped


def _begin(run: Run, folder: Path, request: TrainingRequest) -> Begun:
    """Check a folder that is locked, and return the state of the run in it."""
    # Again, as another process may have been there until now.
    check_place(folder, request.resume)
    begun = find_begun(folder, run, request.on_import)
    remove_temporaries(folder)
    return begun


@dataclass(frozen=True)
class _Ready:
    """A run that is ready to train, in one of its processes.

    Args:
        experiment: The run and its model.
        corpora: Its corpora by name.
        trainer: Its trainer, with the state of the checkpoint if it continues.
        fingerprints: Folder of a teacher to a hash of its files; empty without teachers.
        resumed: Whether it continues from a checkpoint.
    """

    experiment: Experiment
    corpora: Mapping[str, Corpus]
    trainer: Trainer
    fingerprints: Mapping[str, str]
    resumed: bool


def _prepare(run: Run, folder: Path, request: TrainingRequest, *, resumed: bool) -> _Ready:
    """Read the data, let the teachers label it, and build the model and its trainer."""
    console, on_import, processes = request.console, request.on_import, request.processes
    reading = None if console.quiet else show_reading
    with processes.one_first():
        corpora = load_corpora(run, given=request.given, progress=reading)
        transfer = load_transfer_set(run, corpora, on_import, reading)
    fingerprints = transfer.fingerprints if transfer else {}
    if transfer and resumed:
        processes.from_main(partial(check_teachers, folder, fingerprints))
    try:
        experiment = prepare(run, corpora, on_import, transfer)
    except DataError as error:
        raise located(error, request.given) from error
    bar = partial(show_teacher, console)
    with processes.one_first():
        teaching = teach(experiment, corpora, transfer, bar) if transfer else None
    transfer = None  # teachers are large, and not needed any more
    if teaching:
        experiment = replace(experiment, notes=[*experiment.notes, *teaching.notes])
    trainer = make_trainer(experiment, corpora, teaching, processes)
    if resumed:
        restore(trainer, folder, experiment, console)
    return _Ready(experiment, corpora, trainer, fingerprints, resumed)


def _run(
    ready: _Ready,
    folder: Path,
    request: TrainingRequest,
    lock: FolderLock | None,
    trackers: Sequence[Tracker],
) -> bool:
    """Train until the end or a signal, and return whether a signal came.

    Args:
        ready: The run.
        folder: Its folder.
        request: The arguments of the caller.
        lock: The lock of the folder; None in processes that write nothing.
        trackers: The experiment trackers of the run.
    """
    trainer, run = ready.trainer, ready.experiment.run
    lines = list(describe(make_plan(ready.experiment, ready.corpora, trainer)))
    if request.resume:
        place = f"training continues {describe_place(trainer)}"
        if not ready.resumed:
            place = "training starts from the beginning, since the folder has no checkpoint"
        lines.insert(0, f"{folder}: {place}")
    if (folder / CALIBRATION).is_file():
        remedy = f"fit the temperatures again after training: mtl calibrate {folder}"
        lines.append(f"note: {CALIBRATION} is removed, as the weights change; {remedy}")
    # From here on a signal waits for the end of the step or file.
    with Interrupt() as interrupt:
        saving = Saving(run.training.checkpoint.minutes if lock else None)
        trainer.processes.requests = lambda: [interrupt.wanted, saving.due]
        if lock is None:
            return follow_steps(trainer)
        start_folder(folder, ready.experiment, resume=ready.resumed)
        if ready.fingerprints:
            write_teachers(folder, ready.fingerprints)
        keys = run.model_dump(mode="json")
        tracking = Tracking(trackers, folder, keys) if trackers else None
        return train_steps(trainer, lock, request.console, lines, saving, tracking)


def _best_model(folder: Path, experiment: Experiment, processes: Processes) -> TrainedModel:
    """Return the model of a run with the best weights of its folder.

    Raises:
        MtlError: The run was stopped before the end of its first epoch.
    """
    if not processes.from_main((folder / MODEL).is_file):
        raise MtlError(
            f"{folder}: no model; stopped before the end of the first epoch; continue with --resume"
        )
    processes.from_main(partial(load_weights, folder / MODEL, experiment.model))
    processes.copy_from_main(experiment.model)
    experiment.model.eval()
    model = TrainedModel(folder, experiment)
    # A finished run that was not trained any more keeps its temperatures.
    model.predictor.temperatures = read_calibration(folder, model.networks, model.tasks)
    return model


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
