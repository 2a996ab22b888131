"""The run and the predictor of several models that predict together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtl.config.corpus import CorpusConfig
from mtl.config.run import Run, Task
from mtl.errors import MtlError, did_you_mean
from mtl.experiment.corpora import labels_sentences, reads_pairs, unit_of
from mtl.experiment.experiment import Experiment
from mtl.inference.ensemble import EnsemblePredictor, join_heads
from mtl.targets import Target

_CLASHES = 3
"""The most labels of one member in a message."""


@dataclass(frozen=True)
class JointExperiment:
    """Several models that predict together.

    Args:
        run: A run with the tasks of all of them, each as the first member that has it describes it.
        predictor: The predictor.
        notes: Notes for the user on the tasks.
    """

    run: Run
    predictor: EnsemblePredictor
    notes: Sequence[str]


def join(
    members: Sequence[Experiment], names: Sequence[str], tasks: Sequence[str] | None = None
) -> JointExperiment:
    """Return several models as one.

    Args:
        members: The models.
        names: Their names in messages.
        tasks: The tasks; None: all of the members, except language models.

    Raises:
        MtlError: The members cannot predict a task together; the message names two of them.
    """
    known = list(dict.fromkeys(task for member in members for task in member.run.tasks))
    for task in tasks or ():
        if task not in known:
            raise MtlError(f"no member has a task {task!r}{did_you_mean(task, known)}")
    users = {
        task: [index for index, own in enumerate(members) if task in own.run.tasks]
        for task in tasks or known
    }
    notes = []
    for task, own in list(users.items()):
        if reason := _obstacle(members[own[0]], task):
            if tasks:
                raise MtlError(f"task {task!r} {reason}, so it cannot be part of an ensemble")
            notes.append(f"task {task!r} {reason}, so it is not part of the ensemble")
            del users[task]
            continue
        for other in own[1:]:
            pair = [(members[index], names[index]) for index in (own[0], other)]
            notes += _compare(task, *pair)
    if not users:
        raise MtlError(f"{names[0]}: an ensemble has no language models, and no other task")
    for index, name in enumerate(names):
        if not any(index in own for own in users.values()):
            raise MtlError(f"{name}: has none of the tasks of the ensemble; leave it out")
    return JointExperiment(_joint_run(members, users), _predictor(members, users, names), notes)


def _obstacle(model: Experiment, task: str) -> str:
    """Return why a task cannot be part of an ensemble; empty if it can."""
    if model.predictor.targets[task].open_vocabulary:
        return "predicts words of the text"
    unit = unit_of(model.run.corpora[model.run.tasks[task].corpus])
    return "" if unit == "words" else f"reads {unit}"


def _compare(task: str, first: tuple[Experiment, str], other: tuple[Experiment, str]) -> list[str]:
    """Check that two members, each with its name, can predict a task together; return notes.

    Raises:
        MtlError: They cannot; the message names both of them.
    """
    (one, name), (two, other_name) = first, other
    targets = [model.predictor.targets[task] for model in (one, two)]
    schemes = [model.predictor.schemes[task] for model in (one, two)]
    pairs = [reads_pairs(model.run, task) for model in (one, two)]
    difference = ""
    if type(targets[0]) is not type(targets[1]):
        difference = f"predicts {targets[0].noun}, {other_name} {targets[1].noun}"
    elif targets[0].labels != targets[1].labels:
        difference = _difference(targets[0], targets[1], other_name)
    elif pairs[0] != pairs[1]:
        units = [["single sentences", "pairs"][own] for own in pairs]
        difference = f"reads {units[0]}, {other_name} {units[1]}"
    elif schemes[0] != schemes[1]:
        difference = f"has the scheme {schemes[0]}, {other_name} {schemes[1]}"
    if difference:
        raise MtlError(
            f"task {task!r}: {name} {difference}; use models with the same labels, or select other "
            "tasks with --task"
        )
    split = [labels_sentences(model.run, task, targets[0].level) for model in (one, two)]
    if split[0] == split[1]:
        return []
    unit = ["a text as a whole", "each sentence of a text"][split[0]]
    return [
        f"task {task!r}: {other_name} was trained on another unit of text; in the ensemble it "
        f"reads {unit}, as {name} does"
    ]


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


def _joint_run(members: Sequence[Experiment], users: Mapping[str, Sequence[int]]) -> Run:
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


def _predictor(
    members: Sequence[Experiment], users: Mapping[str, Sequence[int]], names: Sequence[str]
) -> EnsemblePredictor:
    predictors = [member.predictor for member in members]
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
