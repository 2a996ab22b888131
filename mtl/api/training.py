"""Training and loading models from Python."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from rich.console import Console

from mtl.config.load import Config
from mtl.config.overrides import Overrides, extended
from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.data.given import GivenCorpus, read_given
from mtl.data.store import ReadingProgress
from mtl.display.console import notes_console, tell
from mtl.display.labelling import show_teacher
from mtl.display.reading import show_import, show_reading
from mtl.display.training import Display
from mtl.errors import MtlError, TrainingError
from mtl.experiment import Experiment, load_config, load_corpora, make_trainer, prepare
from mtl.experiment.corpora import given_keys
from mtl.experiment.distillation.record import check_teachers, write_teachers
from mtl.experiment.distillation.teaching import teach
from mtl.experiment.distillation.transfer_set import TransferSet, find_transfer_set
from mtl.experiment.folder import (
    SEEDS,
    check_data,
    check_place,
    find_begun,
    remove_temporaries,
    start_folder,
)
from mtl.experiment.plan import describe, make_plan
from mtl.registry import OnImport
from mtl.runs.checkpoint import (
    MODEL,
    load_training,
    load_weights,
    save_snapshot,
    save_tensors,
    save_training,
    seed_folder,
    seed_folders,
    to_device,
    weights_of,
)
from mtl.runs.history import write_summary
from mtl.runs.lock import FolderLock
from mtl.trained_model import TrainedModel, load
from mtl.training.events import Epoch
from mtl.training.interrupt import Interrupt
from mtl.training.log import RunLog
from mtl.training.state import restore_training_state, training_state
from mtl.training.trainer import Trainer

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
    has `seeds: N` with N > 1, one model is trained per seed. Each has a run folder of its own,
    `seed-1` and so on, and `summary.json` contains the mean and the standard deviation of their dev
    scores.

    Args:
        config: The run file, or a dictionary with the content of one. Paths in a dictionary are
            relative to the current folder.
        overrides: Changes to it: `{"training.epochs": 3}` or `["training.epochs=3"]`.
        data: Corpus to its data, in place of files: split to rows, or the rows of the split
            `train` alone. Rows are a list, a frame of pandas or polars, an Arrow table, or a
            `datasets.Dataset`; a `DatasetDict` is a dictionary of splits, and its `validation`
            is `dev`. A row is a dictionary with `text` or `tokens` and the columns of labels; or a
            pair of a text or list of words and its label, for corpora with one column of labels.
        output: The run folder; None: `runs/` and the name of the run file.
        resume: Whether the folder may contain this run already. Then training continues after its
            last checkpoint, with the same data, or starts if there is none; a finished run stays as
            it is. The call can be repeated until training is done.
        progress: Whether to show the plan, the scores and a progress bar on standard error. None:
            show them, but the bar only on a terminal. False: show nothing.
        trust: Whether to import modules that a run folder names for parts outside mtl: the folder
            to resume or to start from. Modules that the run file of the user names are always
            imported.

    Returns:
        The trained model; for several seeds a `TrainedSeeds`. Both have `folder` and `models`.

    Raises:
        MtlError: The configuration or the data has an error; `config` is a dictionary and `output`
            is None; the folder exists, contains other files, or another process trains into it; or
            Ctrl-C came before there was a model of each seed.
    """
    given = read_given({} if data is None else data)
    on_import = show_import if trust else None
    run = load_config(config, overrides, given=given_keys(given), on_import=on_import)
    folder = _folder(config, output)
    request = _Request(resume, notes_console(progress), given, on_import)
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
    """Train the model of a run file on its gold labels and on the outputs of trained models.

    It is `train` with the section `distillation` of the run, whose further options are overrides
    such as `{"distillation.temperature": 4}`. The outputs of the teachers are computed once and
    kept in the cache. The run folder is an ordinary one, which needs no teacher.

    Args:
        teachers: The folders of finished runs.
        student: The run file, or a dictionary with the content of one.
        overrides: Changes to it, as for `train`.
        text: Files of unlabelled text.
        match: Task to its teachers as `"FOLDER:TASK"`, in place of all teachers with a task of its
            name; an empty list for gold labels alone.
        data: As for `train`.
        output: As for `train`.
        resume: As for `train`; labelling continues too.
        progress: As for `train`.
        trust: As for `train`; also for the folders of the teachers.

    Returns:
        The trained model; for several seeds a `TrainedSeeds`.

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
    return [load(folder, device=device, trust=trust) for folder in run.distillation.teachers]


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
    request = _Request(resume, notes_console(progress), {}, show_import if trust else None)
    with _advice(folder):
        _train_seeds(run, folder, request)
    return TrainedSeeds(folder)


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
    folder = _folder(config, output)
    return train_run_seeds(run, folder, resume=resume, progress=progress).folder


@contextmanager
def _advice(folder: Path) -> Iterator[None]:
    """Add to a divergence that another run needs another folder."""
    try:
        yield
    except TrainingError as error:
        message = f"{error}. Before you train again, remove {folder}, or choose another --output"
        raise TrainingError(message) from error


def _folder(config: Config, output: str | PathLike[str] | None) -> Path:
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
    """

    resume: bool
    console: Console
    given: Mapping[str, GivenCorpus]
    on_import: OnImport | None


def _train_seeds(run: Run, folder: Path, request: _Request) -> None:
    """Train one model per seed in folders below `folder`."""
    runs = {
        seed_folder(folder, seed): run.model_copy(update={"seed": seed, "seeds": 1})
        for seed in range(run.seed, run.seed + run.seeds)
    }
    check_place(folder, request.resume, SEEDS)
    with FolderLock(folder, partial(tell, request.console)):
        check_place(folder, request.resume, SEEDS)
        remove_temporaries(folder)
        for path, seeded in runs.items():  # check all of them before one is trained
            check_place(path, request.resume)
            find_begun(path, seeded, request.on_import)
        for path, seeded in runs.items():
            tell(request.console, f"seed {seeded.seed}: {path}")
            _, stopped = _train(seeded, path, request)
            if stopped:
                raise MtlError(
                    f"{folder}: stopped before all seeds were trained; continue with --resume"
                )
        write_summary(folder)


def _train(run: Run, folder: Path, request: _Request) -> tuple[TrainedModel, bool]:
    """Train a run in a folder of its own; return the model, and whether Ctrl-C came."""
    console, on_import = request.console, request.on_import
    to_device(run.training.device)  # a missing device is an error before the data is read
    check_place(folder, request.resume)
    with FolderLock(folder, partial(tell, console)) as lock:
        check_place(
            folder, request.resume
        )  # again, as another process may have been there until now
        begun = find_begun(folder, run, on_import)
        remove_temporaries(folder)
        if begun == "finished":
            tell(console, _finished(folder, run.training.epochs))
            return load(folder, device=run.training.device, trust=on_import is not None), False
        reading = None if console.quiet else show_reading
        corpora = load_corpora(run, given=request.given, progress=reading)
        transfer = load_transfer_set(run, corpora, on_import, reading)
        if transfer and begun == "resumable":
            check_teachers(folder, transfer.fingerprints)
        experiment = prepare(run, corpora, on_import, transfer)
        bar = partial(show_teacher, console)
        teaching = teach(experiment, corpora, transfer, bar) if transfer else None
        fingerprints = transfer.fingerprints if transfer else None
        transfer = None  # teachers are large, and not needed any more
        trainer = make_trainer(experiment, corpora, teaching)
        start = f"{folder}: training starts from the beginning, since the folder has no checkpoint"
        if begun == "resumable":
            _restore(trainer, folder, experiment, console)
            start = f"{folder}: training continues {_place(trainer)}"
        stopped = False
        if trainer.finished:
            tell(console, _finished(folder, trainer.epoch))
        else:
            plan = list(describe(make_plan(experiment, corpora, trainer)))
            lines = [start, *plan] if request.resume else plan
            minutes = run.training.checkpoint.minutes
            seconds = math.inf if minutes is None else 60 * minutes
            # From here on a signal waits for the end of the step or file.
            with Interrupt() as interrupt:
                start_folder(folder, experiment, resume=begun == "resumable")
                if fingerprints:
                    write_teachers(folder, fingerprints)
                stopped = _run(trainer, lock, console, lines, interrupt, seconds)
        if not (folder / MODEL).is_file():
            raise MtlError(
                f"{folder}: no model; stopped before the end of the first epoch; continue with "
                "--resume"
            )
        load_weights(folder / MODEL, experiment.model)
        experiment.model.eval()
        return TrainedModel(folder, experiment), stopped


def _restore(trainer: Trainer, folder: Path, experiment: Experiment, console: Console) -> None:
    """Restore the newest checkpoint; data or a model that differ from the run folder are errors."""
    check_data(folder, experiment)
    tensors, values = load_training(folder, partial(tell, console))
    if (folder / MODEL).is_file():
        load_weights(folder / MODEL, experiment.model)  # a damaged file is an error before training
    elif values["epoch"]:
        raise MtlError(f"{folder}: no model; {MODEL} is gone")
    restore_training_state(trainer, tensors, values)


def _finished(folder: Path, epochs: int) -> str:
    return f"{folder}: training is finished after epoch {epochs}; there is nothing to resume"


def _place(trainer: Trainer) -> str:
    """Return the place in a run, for a message."""
    if trainer.place:
        return f"in epoch {trainer.epoch + 1}, after step {trainer.step}"
    return f"after epoch {trainer.epoch}"


def _run(
    trainer: Trainer,
    lock: FolderLock,
    console: Console,
    lines: Sequence[str],
    interrupt: Interrupt,
    seconds: float,
) -> bool:
    """Show and log some lines, and train until the end or a signal; return whether one came.

    The state is saved at a signal, after each epoch, and when some seconds have passed since.
    """
    folder = lock.folder
    with ExitStack() as stack:
        within = trainer.place > 0
        log = stack.enter_context(RunLog(folder, trainer.epoch, trainer.step, within=within))
        for line in (*lines, *(f"note: {note}" for note in log.notes)):
            log.note(line)
            tell(console, line)
        display = stack.enter_context(_display(trainer, console))
        saved = time.monotonic()
        for event in trainer.run():
            stopped = interrupt.wanted
            # The log comes first: resuming drops its lines after the last checkpoint.
            log.write(event)
            if isinstance(event, Epoch) or stopped or time.monotonic() - saved >= seconds:
                lock.check()
                log.sync()
                if isinstance(event, Epoch):
                    _save_model(trainer, folder, event)
                # Before there is a model, no other file has its constants.
                whole = not (folder / MODEL).is_file()
                save_training(folder, *training_state(trainer, whole=whole))
                saved = time.monotonic()
            display.show(event)
            if stopped:
                text = f"stopped after {trainer.step} steps; --resume continues {_place(trainer)}"
                log.note(text)
                tell(console, text)
                return True
    return False


def _display(trainer: Trainer, console: Console) -> Display:
    return Display(
        console,
        trainer.sampler.steps_per_epoch,
        trainer.epochs,
        trainer.selection.best,
        begin=(trainer.epoch, trainer.step - trainer.place),
    )


def _save_model(trainer: Trainer, folder: Path, epoch: Epoch) -> None:
    """Save the model after an epoch, if it is the best so far or ends a cycle."""
    if epoch.improved or epoch.snapshot:
        with trainer.averaged():
            weights = weights_of(trainer.model)
            if epoch.improved:
                save_tensors(folder / MODEL, weights)
            if epoch.snapshot:
                save_snapshot(folder, epoch.snapshot, weights)
