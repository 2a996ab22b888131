"""A distilled model beside its teachers: scores on its own dev sets, and speed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl.api import load_teachers
from mtl.display.reading import show_import, show_reading
from mtl.experiment import load_corpora
from mtl.experiment.distillation.teachers import Teacher, find_teachers
from mtl.experiment.experiment import make_metrics
from mtl.metrics import shown
from mtl.text.example import Example
from mtl.trained_model import TrainedModel

_WARM_UP = 32
"""Sentences that are labelled before the time is taken."""


@dataclass(frozen=True)
class Measured:
    """The scores and the speed of one model.

    Args:
        role: Teacher, student from scratch or distilled student, with its folder.
        scores: Task of the student to the main score, as tables show it.
        speed: Tokens per second, with all of these tasks; None without a dev set.
    """

    role: str
    scores: Mapping[str, str]
    speed: float | None


def compare(
    student: TrainedModel, scratch: TrainedModel | None = None, *, trust: bool = False
) -> list[Measured]:
    """Label the dev sets of a distilled model with its teachers, with the model, and with another.

    Args:
        student: The distilled model.
        scratch: The same model without teachers, if there is one.
        trust: Whether to import modules that the run folders of the teachers name.

    Raises:
        MtlError: A teacher or a dev set cannot be read.
    """
    run = student.run
    corpora = load_corpora(run, student.experiment.subwords, progress=show_reading)
    teachers = load_teachers(run, show_import if trust else None)
    found = find_teachers(run, teachers)
    dev = {
        task: [example for example in corpora[own.corpus].splits["dev"] if task in example.labels]
        for task, own in run.tasks.items()
        if task in found and "dev" in corpora[own.corpus].splits
    }
    models: list[tuple[str, Teacher, Mapping[str, str]]] = []
    for teacher in teachers:
        pairs = ((task, each) for task, own in found.items() for each in own)
        names = {task: each.task for task, each in pairs if each.model is teacher}
        models.append((f"teacher {_place(teacher.folder)}", teacher, names))
    if scratch:
        names = {task: task for task in dev if task in scratch.tasks}
        models.append((f"from scratch {_place(scratch.folder)}", scratch, names))
    models.append((f"distilled {_place(student.folder)}", student, {task: task for task in dev}))
    return [_measured(student, *model, dev) for model in models]


def _measured(
    student: TrainedModel,
    role: str,
    model: Teacher,
    names: Mapping[str, str],
    dev: Mapping[str, Sequence[Example]],
) -> Measured:
    scores, tokens, seconds = {}, 0, 0.0
    for task, make in make_metrics(student.run, names).items():
        if not dev.get(task):
            continue
        target = student.experiment.batcher.targets[task]
        texts = [_input(example) for example in dev[task]]
        model.predict(texts[:_WARM_UP], [names[task]])
        began = time.perf_counter()
        predicted = model.predict(texts, [names[task]])[names[task]]
        seconds += time.perf_counter() - began
        tokens += sum(map(len, dev[task]))
        metric = make()
        gold = [target.comparable(example.labels[task]) for example in dev[task]]
        pairs = [
            (own, _value(p)) for own, p in zip(gold, predicted, strict=True) if own is not None
        ]
        metric.update([own for own, _ in pairs], [label for _, label in pairs])
        main = next(iter(metric.compute().values()))
        scores[task] = shown(main, metric.unit)
    return Measured(role, scores, tokens / seconds if tokens else None)


def _input(example: Example) -> Any:
    return example.tokens if example.second is None else example.texts


def _value(label: Any) -> Any:
    return tuple(label) if isinstance(label, list) else label


def _place(folder: Path) -> str:
    """Return a path, relative to the current folder if it is below it."""
    return os.path.relpath(folder) if folder.absolute().is_relative_to(Path.cwd()) else str(folder)
