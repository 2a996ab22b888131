"""Checks of the section `distillation` of a run, made before teachers are loaded."""

from __future__ import annotations

from collections.abc import Iterator

from mtl.config.distillation import Distillation
from mtl.config.run import Run
from mtl.errors import did_you_mean
from mtl.experiment.build import head_owner, head_part, target_of
from mtl.experiment.corpora import reads_pairs
from mtl.experiment.distillation.teachers import teachable
from mtl.heads import HEADS
from mtl.sharing import SHARING
from mtl.sharing.hard import Hard
from mtl.trunks import TRUNKS


def mistakes(run: Run, *, idle: bool = True) -> Iterator[tuple[str, str]]:
    """Yield the errors of the section: the dotted path of a key, and the message.

    Args:
        run: The run.
        idle: Whether options without effect are errors.
    """
    options = run.distillation
    if options is None:
        return
    able = [task for task in run.tasks if teachable(run, task) is None]
    if not able:
        first = next(iter(run.tasks))
        yield "distillation", f"no task can have a teacher; {first}: {teachable(run, first)}"
    for task, places in options.match.items():
        path = f"distillation.match.{task}"
        if task not in run.tasks:
            yield path, f"the run has no task {task!r}{did_you_mean(task, run.tasks)}"
        elif places and (reason := teachable(run, task)):
            yield path, f"{task} cannot have a teacher: {reason}; leave it out"
        for place in places:
            if not all(place.rpartition(":")):
                yield path, f"expected FOLDER:TASK, got {place!r}"
    tags = options.augmentation.tags if options.augmentation else None
    if tags is not None and (
        tags not in run.tasks
        or not (target_of(run, tags).plain_labels and target_of(run, tags).level == "token")
    ):
        yield (
            "distillation.augmentation.tags",
            f"expected a task of the run with one label per token, got {tags!r}",
        )
    if options.hidden and (reason := _unimitable(run, able)):
        yield "distillation.hidden", reason
    if idle:
        yield from _idle(run, options, able)


def _unimitable(run: Run, able: list[str]) -> str:
    """Return why a run cannot imitate the hidden states of teachers; empty if it can."""
    if not issubclass(SHARING.find(run.sharing.type), Hard):
        return (
            f"under {run.sharing.type!r} tasks have layers of their own, and hidden states belong "
            "to the sentence, not to a task; set sharing: hard, or leave it out"
        )
    if TRUNKS.find(run.trunk.type).corpus_width(run.trunk.options):
        return (
            "with trunk.corpus_dim each corpus has its own hidden states, and teachers have one "
            "state per word; leave one of the two out"
        )
    if TRUNKS.find(run.trunk.type).sight(run.trunk.options) == "left":
        return (
            "the trunk does not see the words after a word, and the hidden states of the teachers "
            "depend on them; take a bidirectional trunk, or leave it out"
        )
    tuning = run.training.fine_tuning
    if tuning and {"embedding", "trunk"} <= set(tuning.frozen):
        return "embedding and trunk are frozen, so that they imitate nothing; leave it out"
    if able and all(reads_pairs(run, task) for task in able):
        return "all tasks that can have a teacher compare two sentences; leave it out"
    return ""


def _idle(run: Run, options: Distillation, able: list[str]) -> Iterator[tuple[str, str]]:
    """Yield an error for each option that no task reads."""
    levels = {task: target_of(run, task).level for task in able}
    for level, name, value, default in (
        ("token", "tokens", options.tokens, "marginals"),
        ("sentence", "sentences", options.sentences, "kl"),
    ):
        if value != default and level not in levels.values():
            yield f"distillation.{name}", f"no task with a teacher has a label per {level}"
    heads = {task: HEADS.find(head_part(run, head_owner(run, task)).type) for task in able}
    soft = {"token": options.tokens == "marginals", "sentence": options.sentences == "kl"}
    if options.temperature is not None and not any(
        soft[levels[task]] and heads[task].reads_temperature for task in able
    ):
        yield "distillation.temperature", "no task with a teacher reads it: CRFs have none"
