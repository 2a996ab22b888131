"""Training and loading models from Python."""

from __future__ import annotations

from contextlib import ExitStack
from os import PathLike
from pathlib import Path

from rich.console import Console

from mtl.config.overrides import Overrides
from mtl.config.run import Run
from mtl.display.reading import show_reading
from mtl.display.training import Display
from mtl.errors import MtlError
from mtl.experiment import (
    load_config,
    load_corpora,
    make_trainer,
    prepare,
)
from mtl.experiment.folder import can_resume, check_data, check_folder, start_folder
from mtl.experiment.plan import describe, make_plan
from mtl.runs.checkpoint import (
    MODEL,
    load_training,
    load_weights,
    save_tensors,
    save_training,
    seed_folder,
    seed_folders,
    to_device,
    weights_of,
)
from mtl.runs.history import write_summary
from mtl.trained_model import TrainedModel, load
from mtl.training.events import Epoch
from mtl.training.interrupt import Interrupt
from mtl.training.log import RunLog
from mtl.training.state import restore_training_state, training_state
from mtl.training.trainer import Trainer

__all__ = ["TrainedModel", "load", "train", "train_seeds"]


def train(
    config: str | PathLike[str],
    overrides: Overrides = (),
    *,
    output: str | PathLike[str] | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> TrainedModel:
    """Train what a run file says and write its run folder.

    Ctrl-C ends training after the step at hand, a second one at once; what was best until then is
    kept and returned.

    Args:
        config: The run file.
        overrides: Changes to it: `{"training.epochs": 3}` or `["training.epochs=3"]`.
        output: The run folder; None: `runs/` and the name of the run file.
        resume: Whether to go on with a run that was stopped.
        console: Where to show the progress; None: standard error.

    Raises:
        MtlError: A mistake in the configuration or the data, or the folder exists.
    """
    run = load_config(config, overrides)
    if run.seeds > 1:
        raise MtlError("seeds: the run has several; train them all by `mtl.api.train_seeds`")
    folder = _folder(config, output)
    check_folder(folder, run, resume)
    return _train(run, folder, resume, console or Console(stderr=True))[0]


def train_seeds(
    config: str | PathLike[str],
    overrides: Overrides = (),
    *,
    output: str | PathLike[str] | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Path:
    """Train what a run file says once with each of its seeds; return the folder of them all.

    Each seed has a run folder in it, `seed-1` and so on, as if it had been trained alone.
    `summary.json` has the mean and the spread of their dev scores. Arguments as for `train`; with
    `resume`, seeds that are finished are left as they are.

    Raises:
        MtlError: A mistake in the configuration or the data, the folder exists, or Ctrl-C came
            before the last seed was trained.
    """
    run = load_config(config, overrides)
    return train_run_seeds(run, _folder(config, output), resume=resume, console=console)


def train_run_seeds(
    run: Run, folder: Path, *, resume: bool = False, console: Console | None = None
) -> Path:
    """Train a run once with each of its seeds; see `train_seeds`."""
    seeds = range(run.seed, run.seed + run.seeds)
    runs = {
        seed_folder(folder, seed): run.model_copy(update={"seed": seed, "seeds": 1})
        for seed in seeds
    }
    begun = [own for own in runs if resume and can_resume(own)]
    if not (resume and seed_folders(folder)):
        check_folder(folder, run, resume)
    for own in begun:  # all of them before one is trained
        check_folder(own, runs[own], resume)
    console = console or Console(stderr=True)
    for own, seeded in runs.items():
        console.print(f"seed {seeded.seed}: {own}", highlight=False, markup=False, soft_wrap=True)
        _, stopped = _train(seeded, own, own in begun, console)
        if stopped:
            raise MtlError(f"{folder}: stopped before all seeds were trained; go on by --resume")
    write_summary(folder)
    return folder


def _folder(config: str | PathLike[str], output: str | PathLike[str] | None) -> Path:
    return Path(output) if output else Path("runs") / Path(config).stem


def _train(run: Run, folder: Path, resume: bool, console: Console) -> tuple[TrainedModel, bool]:
    """Train a run in a folder that has been checked; say, too, whether it was stopped."""
    to_device(run.training.device)  # told now, not when all the data has been read
    corpora = load_corpora(run, progress=show_reading)
    experiment = prepare(run, corpora)
    trainer = make_trainer(experiment, corpora)
    if resume:
        check_data(folder, experiment)
        restore_training_state(trainer, *load_training(folder))
    start_folder(folder, experiment)
    with ExitStack() as stack:
        log = stack.enter_context(RunLog(folder, trainer.epoch))
        for line in describe(make_plan(experiment, corpora, trainer)):
            log.note(line)
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        epochs, steps = run.training.epochs, trainer.sampler.steps_per_epoch
        best = trainer.selection.best
        display = stack.enter_context(Display(console, steps, epochs, best))
        stopped = _run(trainer, folder, log, display)
    if not (folder / MODEL).is_file():
        why = f"{MODEL} is gone" if trainer.epoch else "stopped before the end of the first epoch"
        raise MtlError(f"{folder}: there is no model; {why}")
    load_weights(folder / MODEL, experiment.model)
    experiment.model.eval()
    return TrainedModel(folder, experiment), stopped


def _run(trainer: Trainer, folder: Path, log: RunLog, display: Display) -> bool:
    """Train to the end or to Ctrl-C; return whether that came."""
    with Interrupt() as interrupt:
        for event in trainer.run():
            # First the log: on resuming, what it has beyond the last checkpoint is dropped.
            log.write(event)
            if isinstance(event, Epoch):
                if event.improved:
                    with trainer.averaged():
                        save_tensors(folder / MODEL, weights_of(trainer.model))
                save_training(folder, *training_state(trainer))
            display.show(event)
            if interrupt.wanted:
                text = f"stopped after {trainer.step} steps"
                if trainer.epoch:
                    text += f"; --resume goes on from the end of epoch {trainer.epoch}"
                log.note(text)
                display.console.print(text, highlight=False, soft_wrap=True)
                return True
    return False
