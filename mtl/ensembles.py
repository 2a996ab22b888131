"""Ensembles: several trained models that predict together, and are used like one."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from mtl.config.corpus import CorpusConfig
from mtl.config.run import Run, Task
from mtl.display.reading import show_import, show_reading
from mtl.errors import MtlError, did_you_mean
from mtl.experiment import load_corpora
from mtl.experiment.corpora import labels_sentences, reads_pairs, unit_of, with_data
from mtl.experiment.experiment import score_labels
from mtl.experiment.task_selection import TaskSelection
from mtl.files import find_shipped
from mtl.inference.base import BasePredictor
from mtl.inference.ensemble import EnsemblePredictor, join_heads
from mtl.metrics.spread import Scores
from mtl.registry import OnImport
from mtl.runs.checkpoint import MODEL, save_tensors, seed_folders, snapshot_files, weights_of
from mtl.runs.ensemble import (
    copy_description,
    is_ensemble,
    member_folder,
    read_ensemble,
    write_ensemble,
)
from mtl.targets import Target
from mtl.trained_model import TrainedModel, load_model

_CLASHES = 3
"""The most labels of one member in a message."""


class EnsembleSelection(TaskSelection):
    """Selects tasks of an ensemble, which has neither attention weights nor language models."""

    def attending(self, tasks: Sequence[str] | None = None) -> list[str]:
        """Raise an error: members attend in different ways.

        Raises:
            MtlError: Always.
        """
        self.named(tasks)
        raise MtlError(
            f"{self._folder}: an ensemble has no attention weights; take one of its members, such "
            f"as {member_folder(self._folder, 1)}"
        )

    def language_models(
        self, tasks: Sequence[str] | None = None, *, streams: bool = False
    ) -> list[str]:
        """Raise an error: ensembles contain no language models.

        Raises:
            MtlError: Always.
        """
        self.named(tasks)
        raise MtlError(f"{self._folder}: an ensemble has no language models")


class Ensemble(TrainedModel):
    """Several trained models that predict together. It has the methods of one model.

    Probabilities and numbers are averaged; for CRFs with the same labels, the scores of labels and
    transitions are (see `mtl.inference.ensemble`). A task that only some members have is predicted
    by them.

    Args:
        folder: Its folder.
        members: The members.
        names: Their names in messages.
        tasks: The tasks; None: all of the members, except language models.

    Raises:
        MtlError: The members cannot predict a task together; the message names both of them.
    """

    def __init__(
        self,
        folder: Path,
        members: Sequence[TrainedModel],
        names: Sequence[str],
        tasks: Sequence[str] | None = None,
    ) -> None:
        self.folder = folder
        self.members = list(members)
        self._experiment = None
        self.notes: list[str] = []
        """Notes on the tasks, for the user."""
        known = list(dict.fromkeys(task for member in members for task in member.tasks))
        for task in tasks or ():
            if task not in known:
                raise MtlError(f"no member has a task {task!r}{did_you_mean(task, known)}")
        chosen = [task for task in tasks or known if self._has_mean(task, named=bool(tasks))]
        if not chosen:
            raise MtlError(f"{names[0]}: an ensemble has no language models, and no other task")
        users = {
            task: [index for index, own in enumerate(members) if task in own.tasks]
            for task in chosen
        }
        for task, own in users.items():
            for other in own[1:]:
                self._compare(task, own[0], other, names)
        self.run = _joint_run(members, users)
        self.predictor = _joint_predictor(members, users, names)
        self.selection = EnsembleSelection(folder, self.run, self.predictor)

    def __str__(self) -> str:
        lines = [f"ensemble in {self.folder}, {len(self.members)} members"]
        for name, task in self.run.tasks.items():
            count = sum(name in member.tasks for member in self.members)
            summary = self.predictor.targets[name].summary()
            lines.append(f"task {name}: {task.use}, {count} members, {summary}")
        return "\n".join(lines)

    def _has_mean(self, task: str, *, named: bool) -> bool:
        """Return whether a task may be part of an ensemble, and note why it may not.

        Raises:
            MtlError: It may not, although the user named it.
        """
        model = next(member for member in self.members if task in member.tasks)
        reason = ""
        if model.predictor.targets[task].open_vocabulary:
            reason = "predicts words of the text"
        elif (unit := unit_of(model.run.corpora[model.run.tasks[task].corpus])) != "words":
            reason = f"reads {unit}"
        if reason and named:
            raise MtlError(f"task {task!r} {reason}, so it cannot be part of an ensemble")
        if reason:
            self.notes.append(f"task {task!r} {reason}, so it is not part of the ensemble")
        return not reason

    def _compare(self, task: str, first: int, other: int, names: Sequence[str]) -> None:
        """Check that two members can predict a task together.

        Raises:
            MtlError: They cannot; the message names both of them.
        """
        one, two = self.members[first], self.members[other]
        targets = [model.predictor.targets[task] for model in (one, two)]
        difference = ""
        if type(targets[0]) is not type(targets[1]):
            difference = f"predicts {targets[0].noun}, {names[other]} {targets[1].noun}"
        elif targets[0].labels != targets[1].labels:
            difference = _difference(targets[0], targets[1], names[other])
        elif reads_pairs(one.run, task) != reads_pairs(two.run, task):
            pairs = reads_pairs(one.run, task)
            difference = f"reads {'pairs' if pairs else 'single sentences'}, {names[other]} not"
        elif one.predictor.schemes[task] != two.predictor.schemes[task]:
            schemes = [model.predictor.schemes[task] for model in (one, two)]
            difference = f"has the scheme {schemes[0]}, {names[other]} {schemes[1]}"
        if difference:
            raise MtlError(
                f"task {task!r}: {names[first]} {difference}; join models of the same labels, or "
                "choose other tasks with --task"
            )
        units = [labels_sentences(model.run, task, targets[0].level) for model in (one, two)]
        if units[0] != units[1]:
            unit = ["a text as a whole", "each sentence of a text"][units[0]]
            self.notes.append(
                f"task {task!r}: {names[other]} was trained on another unit of text; in the "
                f"ensemble it reads {unit}, as {names[first]} does"
            )


def _difference(one: Target, two: Target, other: str) -> str:
    """Return the difference of the labels of two members in words."""
    missing = [label for label in one.labels if label not in two.labels]
    extra = [label for label in two.labels if label not in one.labels]
    parts = [
        f"{text} {', '.join(map(repr, labels[:_CLASHES]))}{', …' * (len(labels) > _CLASHES)}"
        for text, labels in ((f"has labels that {other} lacks:", missing), ("lacks", extra))
        if labels
    ]
    return " and ".join(parts)


def _joint_run(members: Sequence[TrainedModel], users: Mapping[str, Sequence[int]]) -> Run:
    """Return a run with the tasks of an ensemble, each as its first member describes it.

    Corpora of one name that the members describe differently get different names.
    """
    tasks: dict[str, Task] = {}
    corpora: dict[str, CorpusConfig] = {}
    for task, (first, *_) in users.items():
        run = members[first].run
        settings = run.tasks[task]
        corpus, name = run.corpora[settings.corpus], settings.corpus
        number = 1
        while name in corpora and corpora[name] != corpus.model_copy(update={"name": name}):
            number += 1
            name = f"{settings.corpus}-{number}"
        corpora[name] = corpus.model_copy(update={"name": name})
        tasks[task] = settings.model_copy(update={"corpus": name})
    return members[0].run.model_copy(update={"tasks": tasks, "corpora": corpora})


def _joint_predictor(
    members: Sequence[TrainedModel], users: Mapping[str, Sequence[int]], names: Sequence[str]
) -> EnsemblePredictor:
    predictors = [member.experiment.predictor for member in members]
    joints, targets, schemes = {}, {}, {}
    for task, own in users.items():
        targets[task] = predictors[own[0]].targets[task]
        schemes[task] = predictors[own[0]].schemes[task]
        try:
            joints[task] = join_heads(
                [predictors[index].head(task) for index in own], targets[task]
            )
        except ValueError as error:
            place = ", ".join(names[index] for index in own)
            raise MtlError(f"task {task!r} of {place}: {error}; choose other members") from error
    return EnsemblePredictor(predictors, joints, users, targets, schemes)


def load_ensemble(folder: Path, device: str | None, on_import: OnImport | None) -> Ensemble:
    """Load an ensemble; see `load_model`."""
    description = read_ensemble(folder)
    folders = [member_folder(folder, n + 1) for n in range(len(description["members"]))]
    members = [load_model(own, device, on_import) for own in folders]
    return Ensemble(folder, members, list(map(str, folders)), description["tasks"])


class _Source(NamedTuple):
    """A model to copy: its run folder, its weights (None: the best model) and its name."""

    folder: Path
    weights: Path | None
    name: str


def _sources(folder: Path) -> Iterator[_Source]:
    """Yield the models of a run folder, of its seeds or snapshots, or of an ensemble."""
    folder = find_shipped(folder, "pretrained")
    if is_ensemble(folder):
        for number in range(1, len(read_ensemble(folder)["members"]) + 1):
            own = member_folder(folder, number)
            yield _Source(own, None, str(own))
    elif seeds := seed_folders(folder):
        for seed in seeds:
            yield from _sources(seed)
    elif snapshots := snapshot_files(folder):
        for file in snapshots:
            yield _Source(folder, file, str(file.with_suffix("")))
    else:
        yield _Source(folder, None, str(folder))


def ensemble(
    runs: Sequence[str | PathLike[str]],
    *,
    output: str | PathLike[str],
    tasks: Sequence[str] | None = None,
    device: str | None = None,
    trust: bool = False,
    progress: bool | None = None,
) -> Ensemble:
    """Make an ensemble of trained models, and write its folder, which `load` loads.

    The folder contains a copy of the run file, the vocabularies and the weights of each member. The
    dev scores of the members and of the ensemble are measured, if the data of the runs is there.

    >>> model = mtl.ensemble(["runs/a", "runs/b"], output="runs/both")  # doctest: +SKIP

    Args:
        runs: Run folders. A folder with several seeds stands for all of them, a run with snapshots
            for its snapshots, and an ensemble for its members.
        output: The folder to write.
        tasks: The tasks of the ensemble; None: all of the members, except language models.
        device: "cpu", "cuda", …; None: a GPU if there is one.
        trust: Whether to import the modules of parts outside mtl that the run files name; see
            `load`.
        progress: Whether to show notes and a progress bar on standard error. None: show notes, but
            the bar only on a terminal. False: show nothing.

    Returns:
        The ensemble.

    Raises:
        MtlError: There are fewer than two models; they cannot predict a task together; or the
            folder exists or cannot be written.
    """
    console = Console(stderr=True, quiet=progress is False, force_terminal=progress or None)

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    folder = Path(output)
    with _new_folder(folder) as temporary:
        sources = [source for run in runs for source in _sources(Path(run))]
        if len(sources) < 2:
            raise MtlError(
                f"an ensemble needs at least two models, got {len(sources)}; name several runs, or "
                "a run with several seeds or snapshots"
            )
        on_import = show_import if trust else None
        names = [source.name for source in sources]
        members = [load_model(own.folder, device, on_import, own.weights) for own in sources]
        joint = Ensemble(folder, members, names, tasks)
        for note in joint.notes:
            tell(f"note: {note}")
        own: list[Scores] = [{} for _ in members]
        dev: Scores = {}
        try:
            own, dev = _measure(joint, console)
        except MtlError as error:  # such as a missing file
            tell(f"note: there are no dev scores: {error}")
        for number, (source, member) in enumerate(zip(sources, members, strict=True), 1):
            target = member_folder(temporary, number)
            copy_description(source.folder, target)
            # The weights that were scored, even if the run is still being trained.
            save_tensors(target / MODEL, weights_of(member.experiment.model))
        write_ensemble(temporary, joint.tasks, list(zip(names, own, strict=True)), dev)
    loaded = load_model(folder, device, on_import)
    assert isinstance(loaded, Ensemble)
    return loaded


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Create a folder that gets its name when the block ends without an error.

    Yields its temporary place.

    Raises:
        MtlError: The folder exists, or cannot be written.
    """
    if os.path.lexists(folder):
        raise MtlError(f"{folder}: exists already; choose another folder, or remove it")
    created = [path for path in folder.parents if not path.exists()]
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        os.rename(temporary, folder)
    except OSError as error:
        raise MtlError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for path in created if not folder.exists() else ():
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def _measure(joint: Ensemble, console: Console) -> tuple[list[Scores], Scores]:
    """Return the dev scores of the members of an ensemble and of itself, on the same data.

    Raises:
        MtlError: The data cannot be read.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    run, _ = with_data(joint.run, "dev", {}, joint.tasks)
    corpora = load_corpora(run, progress=None if console.quiet else show_reading).values()

    def score(predictor: BasePredictor, tasks: Sequence[str]) -> Scores:
        return score_labels(joint.run, predictor, corpora, "dev", tasks).scores()

    members: list[Scores] = []
    columns = ("scoring", BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    shown = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
    with shown as bar:
        work = bar.add_task("", total=2 * len(joint.members))
        for member in joint.members:
            own = [task for task in joint.tasks if task in member.tasks]
            members.append(score(member.predictor, own))
            bar.advance(work)
        return members, score(joint.predictor, joint.tasks)
