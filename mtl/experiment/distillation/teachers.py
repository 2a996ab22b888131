"""The teachers of each task of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mtl.config.distillation import Distillation
from mtl.config.run import Run
from mtl.errors import ConfigError, MtlError, did_you_mean
from mtl.experiment.build import head_owner, head_part, target_of
from mtl.experiment.corpora import unit_of
from mtl.files import open_bytes
from mtl.heads import HEADS
from mtl.inference.inputs import Sentences
from mtl.text.spans import parse_tag


class Teacher(Protocol):
    """A trained model, or several of them: whatever `mtl.load` returns."""

    @property
    def folder(self) -> Path:
        """Its folder."""

    @property
    def tasks(self) -> list[str]:
        """The names of its tasks."""

    def probabilities(
        self, sentences: Sentences, task: str
    ) -> tuple[list[str], list[NDArray[np.float64]]]:
        """Return the labels of a task, and the probability of each; see `TrainedModel`."""

    def predict(
        self, sentences: Sentences, tasks: Sequence[str] | None = None
    ) -> dict[str, list[Any]]:
        """Return the most probable labels; see `TrainedModel`."""


@dataclass(frozen=True)
class TaskTeacher:
    """A teacher of one task.

    Args:
        model: The teacher.
        task: The name of the task in the teacher.
        labels: The labels that it gives.
        fingerprint: A hash of the files of the teacher.
    """

    model: Teacher
    task: str
    labels: Sequence[str]
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.model.folder} (task {self.task})"


def teachable(run: Run, task: str) -> str | None:
    """Return the reason why a task cannot have a teacher; None if it can."""
    target, head = target_of(run, task), head_part(run, head_owner(run, task))
    if not target.plain_labels:
        return f"it predicts {target.noun}, and teachers give labels out of a fixed list"
    if HEADS.find(head.type).adversarial:
        return "its head is adversarial"
    unit = unit_of(run.corpora[run.tasks[task].corpus])
    return None if unit == "words" else f"it reads {unit}, and teachers read words"


def find_teachers(run: Run, teachers: Sequence[Teacher]) -> dict[str, list[TaskTeacher]]:
    """Return the teachers of each task of a run; tasks without one are left out.

    Args:
        run: The run, which has teachers.
        teachers: The loaded teachers, in the order of the run.

    Raises:
        ConfigError: A task that the run names does not exist in a teacher; or no task has a
            teacher.
    """
    assert run.distillation
    hashes = {id(teacher): fingerprint(teacher.folder) for teacher in teachers}
    found: dict[str, list[TaskTeacher]] = {}
    for task in run.tasks:
        if teachable(run, task) is not None:
            continue
        if task in run.distillation.match:
            own = [_named(place, task, teachers) for place in run.distillation.match[task]]
        else:
            own = [(teacher, task) for teacher in teachers if task in teacher.tasks]
        if own:
            found[task] = [
                TaskTeacher(model, name, model.probabilities([], name)[0], hashes[id(model)])
                for model, name in own
            ]
            if run.tasks[task].scheme:
                _check_spans(task, found[task])
    if not found and set(run.tasks) <= set(run.distillation.match):
        raise ConfigError(
            "distillation.match: leaves every task without a teacher; name a teacher for one, or "
            "train the run without distillation"
        )
    if not found:
        offered = {name for teacher in teachers for name in teacher.tasks}
        raise ConfigError(
            f"distillation.teachers: their tasks are {', '.join(sorted(offered))}, and none is a "
            f"task of this run ({', '.join(run.tasks)}); match them, as in --match "
            f"{next(iter(run.tasks))}={teachers[0].folder}:{min(offered)}"
        )
    taught = {id(each.model) for own in found.values() for each in own}
    for teacher in teachers:
        if id(teacher) not in taught:
            raise ConfigError(
                f"distillation.teachers: no task learns from {teacher.folder}, whose tasks are "
                f"{', '.join(teacher.tasks)}; match one with --match, or leave the teacher out"
            )
    return found


def _check_spans(task: str, teachers: Sequence[TaskTeacher]) -> None:
    """Check that the labels of all teachers are span tags."""
    for teacher in teachers:
        for label in teacher.labels:
            try:
                parse_tag(label)
            except MtlError:
                raise ConfigError(
                    f"tasks.{task}: the teacher {teacher} gives the label {label!r}, which is not "
                    "a span tag; name a teacher of spans in `distillation.match`, or leave it out"
                ) from None


def _named(place: str, task: str, teachers: Sequence[Teacher]) -> tuple[Teacher, str]:
    """Return the teacher and the task that a user names as FOLDER:TASK."""
    folder, _, name = place.rpartition(":")
    path = f"distillation.match.{task}"
    wanted = [part for part in Path(folder).parts if part not in (".", "..")]
    own = [
        teacher
        for teacher in teachers
        if folder and list(teacher.folder.absolute().parts[-len(wanted) :]) == wanted
    ]
    if len(own) != 1:
        folders = ", ".join(str(teacher.folder) for teacher in teachers)
        raise ConfigError(
            f"{path}: expected FOLDER:TASK with the folder of one teacher, got {place!r}; the "
            f"teachers are {folders}"
        )
    if name not in own[0].tasks:
        near = did_you_mean(name, own[0].tasks)
        raise ConfigError(f"{path}: the teacher {own[0].folder} has no task {name!r}{near}")
    return own[0], name


def teaching_notes(
    run: Run, teachers: Mapping[str, Sequence[TaskTeacher]], options: Distillation
) -> list[str]:
    """Return a note for the plan on how each task learns."""
    notes = []
    for task in run.tasks:
        if task in teachers:
            own = " and ".join(map(str, teachers[task]))
            mean = "the mean of " if len(teachers[task]) > 1 else ""
            notes.append(f"task {task}: learns from {mean}{own}")
        else:
            reason = teachable(run, task) or (
                "none named" if options.match.get(task) == [] else "none has a task with this name"
            )
            notes.append(f"task {task}: gold labels alone, without a teacher: {reason}")
    return notes


def fingerprint(folder: Path) -> str:
    """Return a hash of the files that a model in a folder consists of."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        # Checkpoints and logs are not read to predict.
        if path.suffix in (".json", ".safetensors", ".yaml") and "checkpoint" not in name.parts:
            with open_bytes(path) as file:
                digest.update(f"{name}\n".encode())
                digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()
