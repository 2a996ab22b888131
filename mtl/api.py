"""Training, loading and using models from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

from rich.console import Console

from mtl.checkpoint import (
    MODEL,
    RUN,
    load_training,
    load_weights,
    save_tensors,
    save_training,
    to_device,
    weights_of,
)
from mtl.config.overrides import Overrides
from mtl.config.run import Run
from mtl.errors import CheckpointError, MtlError, did_you_mean
from mtl.experiment import (
    Experiment,
    load_config,
    load_corpora,
    make_trainer,
    prepare,
    restore,
)
from mtl.plan import describe, make_plan
from mtl.run_folder import check_data, check_folder, start_folder
from mtl.text.example import Example
from mtl.text.tokenizer import tokenize
from mtl.training.display import Display
from mtl.training.evaluation import Evaluation
from mtl.training.events import Epoch
from mtl.training.interrupt import Interrupt
from mtl.training.log import RunLog
from mtl.training.state import restore_training_state, training_state
from mtl.training.trainer import Trainer


class TrainedModel:
    """A model with all that using it takes.

    Args:
        folder: Its run folder.
        experiment: Its parts.
    """

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        self.folder = folder
        self.run = experiment.run
        self.experiment = experiment
        self.predictor = experiment.predictor

    @property
    def tasks(self) -> list[str]:
        """The names of its tasks."""
        return list(self.run.tasks)

    def predict(
        self, sentences: Sequence[str | Sequence[str]], tasks: Sequence[str] | None = None
    ) -> dict[str, list[Any]]:
        """Return the labels of sentences: task to one item a sentence.

        Args:
            sentences: Raw text, which is cut into tokens, or lists of tokens.
            tasks: The tasks wanted; None: all.

        Returns:
            A list of labels, one a token (taggers), or one label (classifiers), a sentence.

        Raises:
            MtlError: One string in place of a list, or a task that the model does not have.
        """
        if isinstance(sentences, str):
            raise MtlError("expected a list of sentences, got one string; put it into a list")
        wanted = self.check_tasks(tasks)
        examples = [Example(tuple(_tokens(sentence))) for sentence in sentences]
        found = self.predictor.predict(examples, wanted)
        return {
            task: [own if isinstance(own := p[task], str) else list(own) for p in found]
            for task in wanted
        }

    def evaluate(
        self,
        split: str = "test",
        tasks: Sequence[str] | None = None,
        *,
        data: Mapping[str, str | PathLike[str]] | None = None,
    ) -> Evaluation:
        """Return the scores on a split of the run's corpora.

        Args:
            split: "train", "dev" or "test".
            tasks: The tasks to score; None: all.
            data: Corpus to a file that is scored in place of the split.

        Raises:
            MtlError: None of the corpora has such a split.
        """
        wanted = self.check_tasks(tasks)
        run = _with_files(self.run, split, data or {}, wanted)
        corpora = load_corpora(run)
        found = self.experiment.evaluate(corpora.values(), split, wanted)
        if not found.metrics:
            splits = {split for corpus in corpora.values() for split in corpus.splits}
            raise MtlError(f"no split {split!r} of these tasks{did_you_mean(split, splits)}")
        return found

    def check_tasks(self, tasks: Sequence[str] | None) -> list[str]:
        """Return the tasks wanted, in the order of the run.

        Raises:
            MtlError: The model has no such task.
        """
        for task in tasks or ():
            if task not in self.run.tasks:
                raise MtlError(f"the model has no task {task!r}{did_you_mean(task, self.tasks)}")
        return [task for task in self.tasks if not tasks or task in tasks]


def _tokens(sentence: str | Sequence[str]) -> Sequence[str]:
    return [token.text for token in tokenize(sentence)] if isinstance(sentence, str) else sentence


def _with_files(
    run: Run, split: str, data: Mapping[str, str | PathLike[str]], tasks: Sequence[str]
) -> Run:
    """Return the run with the corpora of some tasks alone, and with other files for a split."""
    needed = list(dict.fromkeys(run.tasks[task].corpus for task in tasks))
    for name in data:
        if name not in needed:
            raise MtlError(f"no corpus {name!r} to score{did_you_mean(name, needed)}")
    corpora = {}
    for name in needed:
        corpus = run.corpora[name]
        if name in data:
            file = [str(Path(data[name]).absolute())]
            files = {"train": file, split: file}  # only this file need be there
            changes = {"files": files, "expect": {}, "splits": {}, "folds": None, "limit": {}}
            corpus = corpus.model_copy(update=changes)
        corpora[name] = corpus
    kept = {task: part for task, part in run.tasks.items() if part.corpus in needed}
    return run.model_copy(update={"corpora": corpora, "tasks": kept})


def load(folder: str | PathLike[str], *, device: str | None = None) -> TrainedModel:
    """Load the model of a run folder.

    Args:
        folder: The run folder.
        device: "cpu", "cuda", …; None: a GPU if there is one, wherever it was trained.

    Raises:
        CheckpointError: It is no run folder, not finished, or damaged.
    """
    folder = Path(folder)
    if not (folder / RUN).is_file():
        raise CheckpointError(f"{folder}: no run folder (it has no {RUN})")
    overrides = {"training.device": device or "auto"}
    experiment = restore(load_config(folder / RUN, overrides, must_exist=False), folder)
    load_weights(folder / MODEL, experiment.model)
    experiment.model.eval()
    return TrainedModel(folder, experiment)


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
