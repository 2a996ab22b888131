"""Checks that parts declare for their options, and options that the parts refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch

from mtl.config.parts import Part
from mtl.config.run import Run
from mtl.errors import ConfigError
from mtl.experiment.build import head_owners, head_part, layer_width, make_sharing, target_of
from mtl.experiment.context import run_context
from mtl.experiment.kinds import KINDS, Refusal, check_part
from mtl.sharing import SHARING
from mtl.trunks import TRUNKS


def mistakes(run: Run, *, idle: bool = True) -> Iterator[tuple[str, str]]:
    """Yield the errors that parts find in their options: the dotted path of a key, and a message.

    Args:
        run: The run.
        idle: Whether options without effect are errors.
    """
    yield from _layers(run)
    context = run_context(run)
    for kind, path, part, task in _parts(run):
        part_context = replace(context, task=task, users=_users(run, task))
        for error in check_part(kind, part, part_context, idle=idle):
            if error.option:
                yield f"{path}.{error.option}", error.message
            else:
                yield path, f"{part.type!r}: {error.message}"


def notes(run: Run, batches: Mapping[str, int], steps: int) -> Iterator[str]:
    """Yield the notes of parts on options that have little or no effect.

    Args:
        run: The run.
        batches: Corpus to the number of its training batches in the whole run.
        steps: The number of steps of the whole run.
    """
    targets = {task: target_of(run, task) for task in run.tasks}
    tagged = {t for t, own in targets.items() if own.level == "token" and not own.open_vocabulary}
    whole = run_context(run)
    for kind, path, part, task in _parts(run):
        cls = KINDS[kind].find(part.type)
        tasks = _users(run, task) if kind == "head" else run.tasks
        trained = {run.tasks[name].corpus for name in tasks}
        context = replace(
            whole,
            task=task,
            batches={corpus: number for corpus, number in batches.items() if corpus in trained},
            steps=steps,
            tagged=frozenset(tagged),
        )
        if find_notes := getattr(cls, "notes", None):  # optimisers are classes of torch
            yield from (f"{path}: {note}" for note in find_notes(part.options, context))


def _users(run: Run, task: str) -> tuple[str, ...]:
    """Return the tasks that use the head of a task."""
    return tuple(name for name, owner in head_owners(run).items() if owner == task)


def _parts(run: Run) -> Iterator[tuple[str, str, Part, str]]:
    """Yield the kind, the dotted path, the part and the task of every part of a run."""
    for slot, part in run.embedding.items():
        yield "embedding", f"embedding.{slot}", part, ""
    yield "trunk", "trunk", run.trunk, ""
    yield "sharing", "sharing", run.sharing, ""
    yield "weighting", "weighting", run.weighting, ""
    for task, owner in head_owners(run).items():
        if task == owner:
            yield "head", f"tasks.{task}.head", head_part(run, task), task
        yield "metric", f"tasks.{task}.metric", run.tasks[task].metric, task
    for name, corpus in run.corpora.items():
        yield "reader", f"corpora.{name}.reader", corpus.reader, ""
    training = run.training
    yield "mixing", "training.mixing", training.mixing, ""
    yield "optimizer", "training.optimizer", training.optimizer, ""
    yield "schedule", "training.schedule", training.schedule, ""
    if training.average:
        yield "average", "training.average", training.average, ""


def _layers(run: Run) -> Iterator[tuple[str, str]]:
    if not TRUNKS.find(run.trunk.type).is_sized(run.trunk.options):
        return  # the pretrained model has not been read yet
    if not (TRUNKS.find(run.trunk.type).layered or SHARING.find(run.sharing.type).without_trunk):
        return  # the sharing cannot be made
    if len(run.tasks) < SHARING.find(run.sharing.type).min_tasks:
        return  # checked with the other parts that need several tasks
    try:
        with torch.device("meta"):  # shapes only, without memory for the weights
            sharing = make_sharing(run, 1)
    except Refusal as refusal:
        yield refusal.path, refusal.reason
        return
    except RuntimeError as error:  # the number of bytes exceeds 64 bits
        yield "trunk", f"cannot be built: {str(error).splitlines()[0]}; make it smaller"
        return
    for name, task in run.tasks.items():
        try:
            layer_width(task.layer, sharing.sizes_of(name))
        except ConfigError as error:
            yield f"tasks.{name}.layer", str(error)
