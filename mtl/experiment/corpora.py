"""The corpora of a run, their labels under the names of the run's tasks."""

from __future__ import annotations

from collections.abc import Mapping

from mtl.config.corpus import CorpusTask
from mtl.config.parts import Part
from mtl.config.run import Run, Task
from mtl.data.corpus import Corpus, load_corpus
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
        wanted = {task: _corpus_task(run.tasks[task]) for task in tasks_of(run, name)}
        config = corpus.model_copy(update={"tasks": wanted})
        corpora[name] = load_corpus(config, build("reader", corpus.reader))
    return corpora


def _corpus_task(task: Task) -> CorpusTask:
    head = task.head if isinstance(task.head, Part) else Part(type=task.head)
    return CorpusTask.model_construct(
        labels=task.source, scheme=task.scheme, head=head, metric=task.metric
    )


def count_malformed(run: Run, corpora: Mapping[str, Corpus]) -> dict[str, int]:
    """Return task to how many of its training tags break their scheme and were repaired."""
    broken = {}
    for name, task in run.tasks.items():
        if task.scheme:
            tags = corpora[task.corpus].splits["train"].labels(name)
            broken[name] = sum(malformed(of_tokens(t), task.scheme) for t in tags if t is not None)
    return {name: count for name, count in broken.items() if count}
