"""The corpora of a run, their labels under the names of the run's tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from mtl.config.corpus import CorpusTask
from mtl.config.parts import Part
from mtl.config.run import Run, Task
from mtl.data.corpus import Corpus, load_corpus
from mtl.errors import ConfigError, MtlError, did_you_mean
from mtl.experiment.kinds import build
from mtl.text.example import of_tokens
from mtl.text.spans import malformed


def tasks_of(run: Run, corpus: str) -> list[str]:
    """Return the tasks of the run that a corpus serves."""
    return [name for name, task in run.tasks.items() if task.corpus == corpus]


def pair_of(run: Run, task: str) -> str | None:
    """Return the field with the second sentences of a task that compares two, else None."""
    pair: str | None = run.corpora[run.tasks[task].corpus].reader.options.get("pair")
    return pair


def load_corpora(run: Run) -> dict[str, Corpus]:
    """Read the corpora of the run, with the labels of its tasks under the tasks' names."""
    corpora = {}
    for name, corpus in run.corpora.items():
        own = tasks_of(run, name)
        wanted = {task: _corpus_task(run.tasks[task]) for task in own}
        for task in own:
            wanted |= {
                _criterion(by): wanted[task].model_copy(update={"labels": source})
                for by, source in run.tasks[task].criteria.items()
            }
        where = {
            split: {_criterion(by): values for by, values in chosen.items()}
            for split, chosen in corpus.where.items()
        }
        for chosen in corpus.where.values():
            wanted |= {_criterion(by): corpus.tasks[by] for by in chosen}
        config = corpus.model_copy(update={"tasks": wanted, "where": where})
        corpora[name] = _chosen(run, load_corpus(config, build("reader", corpus.reader)))
    return corpora


def _corpus_task(task: Task) -> CorpusTask:
    head = task.head if isinstance(task.head, Part) else Part(type=task.head)
    return CorpusTask.model_construct(
        labels=task.source, scheme=task.scheme, head=head, metric=task.metric
    )


def _criterion(by: str) -> str:
    """Return what labels that `where` goes by are called here, which no task is."""
    return f"where {by}"


def _chosen(run: Run, corpus: Corpus) -> Corpus:
    """Return the corpus with the labels that `where` leaves to the tasks.

    Raises:
        ConfigError: It names labels that there are not, or that are none of a sentence.
    """
    splits, notes = dict(corpus.splits), list(corpus.notes)
    tasks = tasks_of(run, corpus.name)
    for task in tasks:
        for split, chosen in run.tasks[task].where.items():
            for by, values in chosen.items():
                path = f"tasks.{task}.where.{split}.{by}"
                try:
                    splits[split] = splits[split].labelled_where(task, _criterion(by), values)
                except MtlError as error:
                    raise ConfigError(f"{path}: {error}") from error
            left = sum(labels is not None for labels in splits[split].labels(task))
            notes.append(f"{split}: {left} of {len(splits[split])} sentences labelled for {task}")
    own = {n: split.without(split.levels.keys() - {*tasks}) for n, split in splits.items()}
    return Corpus(corpus.name, own, notes)


def count_malformed(run: Run, corpora: Mapping[str, Corpus]) -> dict[str, int]:
    """Return task to how many of its training tags break their scheme and were repaired."""
    broken = {}
    for name, task in run.tasks.items():
        if task.scheme:
            tags = corpora[task.corpus].splits["train"].labels(name)
            broken[name] = sum(malformed(of_tokens(t), task.scheme) for t in tags if t is not None)
    return {name: count for name, count in broken.items() if count}


def with_files(
    run: Run, split: str, data: Mapping[str, str | PathLike[str]], tasks: Sequence[str]
) -> Run:
    """Return the run with the corpora of some tasks alone, and with other files for a split.

    Args:
        run: The run.
        split: "train", "dev" or "test".
        data: Corpus to the file that takes the place of its split.
        tasks: The tasks.

    Raises:
        MtlError: None of the tasks has such a corpus.
    """
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
            changes = {"files": files, "expect": {}, "splits": {}, "folds": None}
            changes |= {"where": {}, "limit": {}}
            corpus = corpus.model_copy(update=changes)
        corpora[name] = corpus
    kept = {
        task: part.model_copy(update={"where": {}, "criteria": {}}) if part.corpus in data else part
        for task, part in run.tasks.items()
        if part.corpus in needed
    }
    return run.model_copy(update={"corpora": corpora, "tasks": kept})
