"""The steps of a training: checkpoints, logs and the display of them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from mtl.display.console import tell
from mtl.display.training import Display
from mtl.errors import MtlError
from mtl.experiment import Experiment
from mtl.experiment.folder import check_data
from mtl.options import count
from mtl.runs.checkpoint import (
    MODEL,
    load_training,
    load_weights,
    save_snapshot,
    save_tensors,
    save_training,
    weights_of,
)
from mtl.runs.lock import FolderLock
from mtl.training.events import Epoch
from mtl.training.log import RunLog
from mtl.training.state import restore_training_state, training_state
from mtl.training.tracking import Tracking
from mtl.training.trainer import Trainer


def restore(trainer: Trainer, folder: Path, experiment: Experiment, console: Console) -> None:
    """Restore the newest checkpoint; data or a model that differ from the run folder are errors."""
    main = trainer.processes.from_main

    def read() -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_data(folder, experiment)
        tensors, values = load_training(folder, partial(tell, console))
        if (folder / MODEL).is_file():
            # A damaged file is an error before training.
            load_weights(folder / MODEL, experiment.model)
        elif values["epoch"]:
            raise MtlError(f"{folder}: no model; {MODEL} is gone")
        return tensors, values

    tensors, values = main(read)
    trainer.processes.copy_from_main(experiment.model)
    restore_training_state(trainer, tensors, values)


def describe_end(folder: Path, epochs: int) -> str:
    """Return a message for a run that is finished."""
    return f"{folder}: training is finished after epoch {epochs}; there is nothing to resume"


def describe_place(trainer: Trainer) -> str:
    """Return the place in a run, for a message."""
    if trainer.place:
        return f"in epoch {trainer.epoch + 1}, after step {trainer.step}"
    return f"after epoch {trainer.epoch}"


class Saving:
    """The clock of the checkpoints within epochs.

    Args:
        minutes: The time between two of them; None: there are none.
    """

    def __init__(self, minutes: float | None) -> None:
        self._seconds = math.inf if minutes is None else 60 * minutes
        self.restart()

    def restart(self) -> None:
        """Note that the state has been saved."""
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the state has to be saved again."""
        return time.monotonic() - self._saved >= self._seconds


def follow_steps(trainer: Trainer) -> bool:
    """Train as a process that writes nothing; return whether a signal came.

    It returns the parts of the state that the first process saves, at the same steps.
    """
    for event in trainer.run():
        stopped, due = trainer.processes.requested()
        if isinstance(event, Epoch) or stopped or due:
            training_state(trainer)
        if stopped:
            return True
    return False


def train_steps(
    trainer: Trainer,
    lock: FolderLock,
    console: Console,
    lines: Sequence[str],
    saving: Saving,
    tracking: Tracking | None,
) -> bool:
    """Show and log some lines, and train until the end or a signal; return whether one came.

    The state is saved at a signal, after each epoch, and when it is due.
    """
    folder = lock.folder
    with ExitStack() as stack:
        within = trainer.place > 0
        show = partial(tell, console)
        log = stack.enter_context(
            RunLog(folder, trainer.epoch, trainer.step, within=within, tracking=tracking, show=show)
        )
        for line in (*lines, *(f"note: {note}" for note in log.notes)):
            log.note(line)
            tell(console, line)
        display = stack.enter_context(_display(trainer, console))
        for event in trainer.run():
            stopped, due = trainer.processes.requested()
            # The log comes first: resuming drops its lines after the last checkpoint.
            log.write(event)
            if isinstance(event, Epoch) or stopped or due:
                lock.check()
                log.sync()
                if isinstance(event, Epoch):
                    _save_model(trainer, folder, event)
                # Before there is a model, no other file has its constants.
                whole = not (folder / MODEL).is_file()
                save_training(folder, *training_state(trainer, whole=whole))
                saving.restart()
            display.show(event)
            if stopped:
                place = describe_place(trainer)
                steps = count(trainer.step, "step")
                text = f"stopped after {steps}; --resume continues {place}"
                log.note(text)
                log.stopped = True
                tell(console, text)
                return True
        if trainer.epoch < trainer.epochs:
            reason = trainer.selection.reason or "the schedule of the learning rate has ended"
            text = f"ended after epoch {trainer.epoch} of {trainer.epochs}: {reason}"
            log.note(text)
            tell(console, text)
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
