"""The runs of a cross-validation: each trains on all folds but one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtl.config.corpus import CorpusConfig, Folds
from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.data.places import Places, read_places
from mtl.data.readers import READERS
from mtl.data.readers.base import Reader
from mtl.errors import MtlError, did_you_mean
from mtl.experiment import build
from mtl.experiment.checks.run import adversaries
from mtl.experiment.corpora import check_words, tasks_of

HELD_OUT = "test"
"""The split with the sentences of the fold that a run does not train on."""


@dataclass(frozen=True)
class AuditedCorpus:
    """A corpus whose training labels are examined.

    Args:
        name: Its name.
        paths: The files of its training sentences.
        checksums: The checksum of each file.
        places: The places of the sentences.
        documents: Whether documents stay together.
        tasks: The tasks whose labels are examined.
    """

    name: str
    paths: Sequence[Path]
    checksums: Sequence[str]
    places: Places
    documents: bool
    tasks: Sequence[str]


def auditable_tasks(
    run: Run, corpora: Mapping[str, Corpus], wanted: Sequence[str] | None = None
) -> list[str]:
    """Return the tasks whose labels can be examined, or check the wanted ones.

    Raises:
        MtlError: A wanted task is unknown or cannot be examined, or no task can.
    """
    for task in wanted or ():
        if task not in run.tasks:
            raise MtlError(f"the run has no task {task!r}{did_you_mean(task, run.tasks)}")
    reasons = {task: _obstacle(run, corpora, task) for task in run.tasks}
    for task in wanted or ():
        if reasons[task]:
            raise MtlError(f"task {task!r}: {reasons[task]}; audit other tasks with --task")
    able = [task for task in run.tasks if not reasons[task] and task in (wanted or run.tasks)]
    if not able:
        every = "; ".join(f"{task}: {reason}" for task, reason in reasons.items())
        raise MtlError(f"no task can be audited: {every}; add a task with labels in a file")
    check_words(run, able)
    return able


def _obstacle(run: Run, corpora: Mapping[str, Corpus], task: str) -> str:
    """Return why the labels of a task cannot be examined; empty if they can."""
    own = run.tasks[task]
    if own.source.derived:
        return "its labels are derived from the words"
    if task in adversaries(run):
        return "its head is adversarial"
    if not READERS.find(run.corpora[own.corpus].reader.type).reads_files:
        return "its corpus is not read from files"
    target = corpora[own.corpus].splits["train"].targets[task]
    sets = target.values == "sets" and target.level == "sentence"
    return "" if target.plain_labels or sets else f"it has {target.noun}, not labels"


def audited_corpora(run: Run, tasks: Sequence[str], count: int) -> list[AuditedCorpus]:
    """Return the corpora of some tasks, with the places of their sentences.

    Args:
        run: The run.
        tasks: The tasks whose labels are examined.
        count: The number of folds; a corpus with at least as many documents is divided between
            documents.
    """
    found = []
    for name, corpus in run.corpora.items():
        if own := [task for task in tasks_of(run, name) if task in tasks]:
            reader: Reader = build("reader", corpus.reader)
            paths = [Path(path) for path in corpus.files["train"]]
            places = read_places(reader, paths)
            checksums = [reader.digest(path)[:CHECKSUM] for path in paths]
            whole = places.marked >= count
            found.append(AuditedCorpus(name, paths, checksums, places, whole, own))
    return found


CHECKSUM = 32
"""The number of hexadecimal digits of the checksum of a file."""


def fold_run(run: Run, corpora: Iterable[AuditedCorpus], count: int, number: int) -> Run:
    """Return the run that trains on all folds of some corpora but one, which is its test set.

    Args:
        run: The run.
        corpora: The corpora whose training sentences are divided.
        count: The number of folds.
        number: The fold that is held out, from 0.
    """
    changed = {
        own.name: _without_fold(run.corpora[own.name], count, number, run.seed, own.documents)
        for own in corpora
    }
    return run.model_copy(update={"corpora": {**run.corpora, **changed}, "seeds": 1})


def _without_fold(
    corpus: CorpusConfig, count: int, number: int, seed: int, documents: bool
) -> CorpusConfig:
    files = {split: paths for split, paths in corpus.files.items() if split != HELD_OUT}
    dev = corpus.folds.dev if corpus.folds else corpus.splits.get("dev")
    folds = Folds(
        count=count,
        fold=number,
        dev=None if "dev" in files else dev,
        seed=seed,
        documents=documents,
    )
    kept = {"train", "dev"} & {*files, *(["dev"] if folds.dev is not None else [])}
    where = {split: own for split, own in corpus.where.items() if split in kept}
    if "train" in where:
        where[HELD_OUT] = where["train"]
    changes = {
        "files": files,
        "splits": {},
        "folds": folds,
        "where": where,
        "limit": {split: own for split, own in corpus.limit.items() if split in kept},
        # `expect` counts whole files, and no parts of them.
        "expect": {split: own for split, own in corpus.expect.items() if split in files},
    }
    return corpus.model_copy(update=changes)
