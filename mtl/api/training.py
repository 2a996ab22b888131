"""Training and loading models from Python."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from mtl.api.one_run import TrainingRequest, for_processes, train_one_run
from mtl.config.load import Config
from mtl.config.overrides import Overrides, extended
from mtl.config.run import Run
from mtl.data.given import GivenCorpus, read_given
from mtl.display.console import notes_console, tell
from mtl.display.reading import show_import
from mtl.errors import MtlError, TrainingError
from mtl.experiment import load_config
from mtl.experiment.corpora import given_keys
from mtl.experiment.folder import (
    SEEDS,
    check_place,
    find_begun,
    remove_temporaries,
)
from mtl.registry import OnImport
from mtl.runs.checkpoint import (
    seed_folder,
    seed_folders,
)
from mtl.runs.history import write_summary
from mtl.trained_model import TrainedModel, load
from mtl.training.processes import is_restarted, join

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
        return train_one_run(run, folder, request)[0]


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
        model, stopped = train_one_run(run.model_copy(update={"seeds": 1}), folder, request)
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


def _request(
    resume: bool,
    progress: bool | None,
    given: Mapping[str, GivenCorpus],
    on_import: OnImport | None,
) -> TrainingRequest:
    processes = join()
    console = notes_console(progress if processes.main else False)
    # After a failure, torchrun starts the same command again.
    return TrainingRequest(resume or is_restarted(), console, given, on_import, processes)


def _train_seeds(run: Run, folder: Path, request: TrainingRequest) -> None:
    """Train one model per seed in folders below `folder`."""
    runs = {
        seed_folder(folder, seed): run.model_copy(update={"seed": seed, "seeds": 1})
        for seed in range(run.seed, run.seed + run.seeds)
    }
    runs = {path: for_processes(own, path, request) for path, own in runs.items()}

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
            _, stopped = train_one_run(seeded, path, request)
            if stopped:
                raise MtlError(
                    f"{folder}: stopped before all seeds were trained; continue with --resume"
                )
        main(partial(write_summary, folder))
