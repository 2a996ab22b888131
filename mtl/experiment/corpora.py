"""Load the corpora of a run, with labels under the task names of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from mtl.config.corpus import CorpusConfig, CorpusTask
from mtl.config.parts import Part
from mtl.config.run import Run, Task
from mtl.data.corpus import Corpus, load_corpus
from mtl.data.given import GivenCorpus, given_split
from mtl.data.readers import READERS, Python
from mtl.data.writer import ReadingProgress
from mtl.errors import ConfigError, DataError, MtlError, did_you_mean
from mtl.experiment.kinds import build
from mtl.options import part_options
from mtl.runs.checkpoint import SUBWORDS, load_subwords
from mtl.targets import Level
from mtl.text.example import of_tokens
from mtl.text.spans import malformed
from mtl.text.subwords import Subwords
from mtl.text.tokenizer import Cut
from mtl.trunks import TRUNKS

PYTHON = "python"
"""The reader of data that a caller passes as Python objects."""


def tasks_of(run: Run, corpus: str) -> list[str]:
    """Return the tasks of the run that use a corpus."""
    return [name for name, task in run.tasks.items() if task.corpus == corpus]


def reads_pairs(run: Run, task: str) -> bool:
    """Return whether a task compares two sentences."""
    reader = run.corpora[run.tasks[task].corpus].reader
    return READERS.find(reader.type).pairs(reader.options)


def labels_sentences(run: Run, task: str, level: Level) -> bool:
    """Return whether a task was trained on sentences, and not on longer texts.

    Args:
        run: The run.
        task: The task.
        level: The level of its labels.
    """
    corpus = run.corpora[run.tasks[task].corpus]
    if corpus.unit is not None:
        return corpus.unit == "sentence"
    return level == "token" or READERS.find(corpus.reader.type).reads_sentences


def unit_of(corpus: CorpusConfig) -> str:
    """Return the kind of token of a corpus: words, characters or subwords."""
    return READERS.find(corpus.reader.type).unit(corpus.reader.options)


def cut_of(corpus: CorpusConfig) -> Cut:
    """Return the rule that cuts raw text into the tokens of a corpus."""
    return READERS.find(corpus.reader.type).cut(corpus.reader.options)


def cuts_subwords(corpus: CorpusConfig) -> bool:
    """Return whether the text of a corpus is cut into subwords."""
    return unit_of(corpus) == "subwords"


def language_units(run: Run) -> set[str]:
    """Return the kinds of token that the language models of a run read and predict."""
    texts = {task.corpus for task in run.tasks.values() if task.source.text is not None}
    return {unit_of(run.corpora[name]) for name in texts}


def subwords_of(corpora: Mapping[str, Corpus]) -> Subwords | None:
    """Return the subwords of the corpora of a run, or None."""
    return next((corpus.subwords for corpus in corpora.values() if corpus.subwords), None)


def check_words(run: Run, tasks: Sequence[str]) -> None:
    """Check that tasks read words.

    Raises:
        MtlError: A task reads characters or subwords.
    """
    for task in tasks:
        unit = unit_of(run.corpora[run.tasks[task].corpus])
        if unit != "words":
            generates = run.tasks[task].source.text is not None
            other = "mtl generate" if generates else f"mtl predict --task {task}"
            raise MtlError(
                f"task {task!r} reads {unit}, and this works for words alone; use mtl evaluate or "
                f"{other}"
            )


def load_corpora(
    run: Run,
    subwords: Subwords | None = None,
    *,
    given: Mapping[str, GivenCorpus] | None = None,
    progress: ReadingProgress | None = None,
) -> dict[str, Corpus]:
    """Read the corpora of a run, with labels under the names of its tasks.

    Args:
        run: The run.
        subwords: The subwords for corpora with `tokenize: subwords`. None uses the subwords of the
            run that this run starts from, or else learns them from the training text.
        given: Corpus to its data, for corpora whose reader is `python`. Without it, they are read
            from the cache.
        progress: Displays the progress of reading files that are not in the cache.

    Returns:
        Name to corpus.

    Raises:
        MtlError: A file cannot be read, or a setting does not fit the data.
    """
    if subwords is None and any(map(cuts_subwords, run.corpora.values())):
        subwords = _known_subwords(run) or _learn_subwords(run, progress)
    corpora = {}
    for name, corpus in run.corpora.items():
        tasks = tasks_of(run, name)
        wanted = {task: _corpus_task(run.tasks[task]) for task in tasks}
        # Filters need the labels of further columns, which are read as tasks with other names.
        for task in tasks:
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
        cut = subwords if cuts_subwords(corpus) else None
        rows = _given_rows(run, name, (given or {}).get(name, GivenCorpus()))
        arguments = [argument for argument in (cut, rows) if argument is not None]
        reader = build("reader", corpus.reader, *arguments)
        try:
            loaded = load_corpus(config, reader, progress=progress)
        except DataError as error:
            raise (rows.located(error) if rows else error) from error
        if cut:
            notes = [*loaded.notes, f"split into subwords, {len(cut.tokens):,} different ones"]
            loaded = replace(loaded, notes=notes, subwords=cut)
        corpora[name] = _chosen(run, loaded)
    return corpora


def _given_rows(run: Run, corpus: str, given: GivenCorpus) -> GivenCorpus | None:
    """Return the data of a corpus whose reader is `python`, with the column of labels; else None.

    The second item of a pair is the label of the only column that the tasks of the corpus read.
    """
    if not issubclass(READERS.find(run.corpora[corpus].reader.type), Python):
        return None
    sources = [run.tasks[task].source for task in tasks_of(run, corpus)]
    columns = {source.key for source in sources if source.kind in ("column", "metadata")}
    return replace(given, label=columns.pop() if len(columns) == 1 else None)


def given_keys(given: Mapping[str, GivenCorpus]) -> dict[str, dict[str, Any]]:
    """Return the keys of the corpora in a run whose data is passed; see `load_run`."""
    return {
        name: {"reader": {"type": PYTHON}, "files": dict(corpus.splits)}
        for name, corpus in given.items()
    }


def _known_subwords(run: Run) -> Subwords | None:
    """Return the subwords of the run that this run starts from, or None."""
    folder = TRUNKS.find(run.trunk.type).start_folder(run.trunk.options)
    return load_subwords(Path(folder)) if folder and (Path(folder) / SUBWORDS).is_file() else None


def _learn_subwords(run: Run, progress: ReadingProgress | None) -> Subwords:
    """Learn the subwords of a run from all its corpora with `tokenize: subwords`.

    Raises:
        ConfigError: The corpora define different numbers of subwords.
    """
    counts: Counter[str] = Counter()
    numbers: dict[int, str] = {}
    for name, corpus in run.corpora.items():
        if cuts_subwords(corpus):
            cls = READERS.find(corpus.reader.type)
            number, options = cls.learns_subwords(corpus.reader.options)
            numbers[number] = name
            reader = Part(type=corpus.reader.type, options=options)
            # Subwords are learned from the sentences that pass the filters, without other labels.
            needed = {by for chosen in corpus.where.values() for by in chosen}
            tasks = {task: part for task, part in corpus.tasks.items() if task in needed}
            config = corpus.model_copy(update={"tasks": tasks})
            words = load_corpus(config, build("reader", reader), progress=progress)
            counts.update(words.splits["train"].word_counts())
    if len(numbers) > 1:
        sizes = ", ".join(f"{name!r} {number}" for number, name in numbers.items())
        raise ConfigError(
            f"a run has one set of subwords, but `subwords` differs: {sizes}; set the same number "
            "for all corpora"
        )
    return Subwords.learn(counts, *numbers)


def _corpus_task(task: Task) -> CorpusTask:
    head = task.head if isinstance(task.head, Part) else Part(type=task.head)
    return CorpusTask.model_construct(
        labels=task.source, scheme=task.scheme, head=head, metric=task.metric
    )


def _criterion(by: str) -> str:
    """Return the internal column name for a `where` filter.

    It contains a blank, so that no task can have the same name.
    """
    return f"where {by}"


def _chosen(run: Run, corpus: Corpus) -> Corpus:
    """Return the corpus with the labels that remain after the `where` filters of its tasks.

    Raises:
        ConfigError: A filter names unknown labels, or a task without sentence labels.
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
    # The columns of the filters have served their purpose.
    splits = {n: split.without(split.targets.keys() - {*tasks}) for n, split in splits.items()}
    return replace(corpus, splits=splits, notes=notes)


def count_malformed(run: Run, corpora: Mapping[str, Corpus]) -> dict[str, int]:
    """Return the number of training tags per task that break their scheme and were repaired."""
    broken = {}
    for name, task in run.tasks.items():
        train = corpora[task.corpus].splits["train"]
        # Partial labels are read as they are: they leave open which spans there are.
        if task.scheme and train.targets[name].plain_labels:
            tags = train.labels(name)
            broken[name] = sum(malformed(of_tokens(t), task.scheme) for t in tags if t is not None)
    return {name: count for name, count in broken.items() if count}


def by_corpus(run: Run, data: Any, tasks: Sequence[str]) -> Mapping[str, Any]:
    """Return data by corpus; data that is not a mapping belongs to the only corpus of the tasks."""
    if data is None or isinstance(data, Mapping):
        return data or {}
    names = list(dict.fromkeys(run.tasks[task].corpus for task in tasks))
    if len(names) > 1:
        raise MtlError(
            f"data: the tasks have several corpora ({', '.join(names)}); pass a dict of corpus to "
            "its data"
        )
    return {names[0]: data}


def with_data(
    run: Run, split: str, data: Mapping[str, Any], tasks: Sequence[str]
) -> tuple[Run, dict[str, GivenCorpus]]:
    """Return the run with only the corpora of some tasks, and with other data for a split.

    Args:
        run: The run.
        split: "train", "dev" or "test".
        data: Corpus to the data that replaces its split: a file, or rows as for `given_split`.
        tasks: The tasks.

    Returns:
        The run, and the rows by corpus, for `load_corpora`.

    Raises:
        MtlError: None of the tasks uses a corpus in `data`, or the rows have another form.
    """
    needed = list(dict.fromkeys(run.tasks[task].corpus for task in tasks))
    for name in data:
        if name not in needed:
            raise MtlError(f"no corpus {name!r} to score{did_you_mean(name, needed)}")
    corpora, given = {}, {}
    for name in needed:
        corpus = run.corpora[name]
        if name in data:
            changes: dict[str, Any] = {}
            if isinstance(data[name], str | PathLike):
                file = str(Path(data[name]).absolute())
            else:
                rows = given_split(data[name], f"data[{name!r}]")
                given[name] = GivenCorpus.of({split: rows})
                file = given[name].splits[split]
                changes["reader"] = _python_reader(corpus)
            # A corpus needs a training split; only the file of the user is sure to exist.
            changes["files"] = {"train": [file], split: [file]}
            # Sizes, splits and filters describe the original files, not the file of the user.
            changes |= {"expect": {}, "splits": {}, "folds": None, "where": {}, "limit": {}}
            corpus = corpus.model_copy(update=changes)
        corpora[name] = corpus
    kept = {}
    for task, part in run.tasks.items():
        if part.corpus in data:
            # Weights belong to training: a file that is only scored need not have them.
            source = part.source.model_copy(update={"weight": None})
            part = part.model_copy(update={"where": {}, "criteria": {}, "source": source})
        if part.corpus in needed:
            kept[task] = part
    return run.model_copy(update={"corpora": corpora, "tasks": kept}), given


def _python_reader(corpus: CorpusConfig) -> Part:
    """Return the reader of rows for a corpus, with the options that its own reader has too.

    Raises:
        MtlError: The corpus reads characters or subwords.
    """
    if (unit := unit_of(corpus)) != "words":
        raise MtlError(f"data[{corpus.name!r}]: the corpus reads {unit}; pass a file")
    options = {
        name: corpus.reader.options.get(name, option.default)
        for name, option in part_options(Python).items()
    }
    return Part(type=PYTHON, options=options)


def no_split(split: str, corpora: Sequence[Corpus]) -> MtlError:
    """Return the error for a split that none of the corpora has."""
    known = {name for corpus in corpora for name in corpus.splits}
    return MtlError(f"no split {split!r} of these tasks{did_you_mean(split, known)}")
