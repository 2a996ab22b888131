"""Training and loading models from Python."""

from __future__ import annotations

from contextlib import ExitStack
from os import PathLike
from pathlib import Path

from rich.console import Console

from mtl.checkpoint import (
    MODEL,
    load_training,
    load_weights,
    save_tensors,
    save_training,
    to_device,
    weights_of,
)
from mtl.config.overrides import Overrides
from mtl.errors import MtlError
from mtl.experiment import (
    load_config,
    load_corpora,
    make_trainer,
    prepare,
)
from mtl.plan import describe, make_plan
from mtl.run_folder import check_data, check_folder, start_folder
from mtl.trained import TrainedModel, load
from mtl.training.display import Display
from mtl.training.events import Epoch
from mtl.training.interrupt import Interrupt
from mtl.training.log import RunLog
from mtl.training.state import restore_training_state, training_state
from mtl.training.trainer import Trainer

__all__ = ["TrainedModel", "load", "train"]


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
    folder = Path(output) if output else Path("runs") / Path(config).stem
    check_folder(folder, run, resume)
    console = console or Console(stderr=True)
    to_device(run.training.device)  # told now, not when all the data has been read
    corpora = load_corpora(run)
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
        epochs, steps = run.training.epochs, trainer.schedule.steps_per_epoch
        best = trainer.selection.best
        display = stack.enter_context(Display(console, steps, epochs, best))
        _run(trainer, folder, log, display)
    if not (folder / MODEL).is_file():
        why = f"{MODEL} is gone" if trainer.epoch else "stopped before the end of the first epoch"
        raise MtlError(f"{folder}: there is no model; {why}")
    load_weights(folder / MODEL, experiment.model)
    experiment.model.eval()
    return TrainedModel(folder, experiment)


def _run(trainer: Trainer, folder: Path, log: RunLog, display: Display) -> None:
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
                return
