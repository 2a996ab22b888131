"""A plan for a corpus: its splits, reader and tasks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from mtl.config.run import FIELDS
from mtl.data.readers import READERS, Record
from mtl.errors import DataError, MtlError
from mtl.inspection.columns import TaskPlan, Unsuitable, name_of, plan_sentences, plan_tokens
from mtl.inspection.formats import Format, recognise

_RECORDS = 20_000
"""Number of records of each file from which labels are recognised."""
_ROLES = {"dev": r"dev|devel|valid|val|validation|testa", "test": r"test|eval|testb"}
_ENGLISH = {
    *("the", "and", "that", "this", "these", "those", "with", "from", "but"),
    *("not", "if", "it", "its", "some", "my", "your", "our", "their"),
    *("they", "we", "you"),
    *("she", "which", "who", "what", "when", "where", "why", "how", "were"),
    *("been", "have", "there", "would", "could", "should", "did", "does", "about"),
    *("after", "before", "because", "again", "into"),
}
"""Frequent words of English that hardly occur in other languages."""
_SHARE = 0.05
"""Share of these words above which a text is English; even texts with many names have 0.1."""


@dataclass(frozen=True)
class CorpusPlan:
    """The corpus that files allow.

    Args:
        format: The format of the files.
        files: Split to its files.
        splits: Splits to cut from the training data: a share, or a number of sentences.
        tasks: Task to its plan.
        skipped: Column to the reason why it has no task.
        sentences: Number of training sentences.
        tokens: Number of words of the training sentences.
        english: The share of function words of English in them; 0.2 is common in English text.
        inspected: The number of training sentences from which labels are recognised and counted.
    """

    format: Format
    files: Mapping[str, Sequence[Path]]
    splits: Mapping[str, str | int]
    tasks: Mapping[str, TaskPlan]
    skipped: Mapping[str, str] = field(default_factory=dict)
    sentences: int = 0
    tokens: int = 0
    english: float = 0.0
    inspected: int = 0

    @property
    def pretrained(self) -> bool:
        """Whether the text is English, so that training starts from the pretrained model."""
        return self.english > _SHARE


def plan_corpus(paths: Sequence[Path]) -> CorpusPlan:
    """Return a plan for the corpus in some files of one format.

    Files whose name contains `dev`, `valid` or `test` as a word are these splits. All others are
    training data.

    Raises:
        MtlError: A file cannot be read, files have different formats, or no column has labels.
    """
    files = _by_split(paths)
    form = recognise(files["train"][0])
    for path in paths:
        if (other := recognise(path)).reader != form.reader:
            raise MtlError(
                f"{path} is {other.description}, and {files['train'][0]} is {form.description}; "
                "pass files of one format. For one model that learns from both, call mtl new for "
                "each, and copy the tasks of one run file to the other"
            )
    reader = READERS.find(form.reader)(**form.options)
    records: list[Record] = []
    sentences = tokens = 0
    for path in files["train"]:
        rest = _filled(reader.read(path))
        first = list(islice(rest, _RECORDS))
        records += first
        # The other records are counted, but not kept.
        for record in chain(first, rest):
            sentences += 1
            tokens += len(record.tokens)
    words = sum(len(record.tokens) for record in records)
    if form.reader in ("csv", "tsv", "lines") and len(records) > 20 and words < 1.5 * len(records):
        raise MtlError(
            f"{files['train'][0]}: read as {form.description}, almost every text is a single word. "
            "If the file has one token per line, separate the columns by tabs, with a blank line "
            "after each sentence"
        )
    tasks, skipped = _plan_tasks(form, records, files["train"][0])
    if form.unnamed:
        form, tasks = _named(form, tasks)
    if not tasks:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in skipped.items())
        raise MtlError(f"{files['train'][0]}: no column has labels to learn{reasons}")
    every = (word.lower() for record in records[:2000] for word in record.tokens)
    counts = Counter(word for word in every if any(map(str.isalpha, word)))
    english = sum(counts[word] for word in _ENGLISH) / max(1, counts.total())
    splits: dict[str, str | int] = {}
    if "dev" not in files:
        if sentences < 5:
            raise MtlError(f"{files['train'][0]}: {sentences} sentences; expected at least 5")
        # A percentage of a small file could be empty.
        splits["dev"] = "10%" if sentences >= 200 else -(-sentences // 5)
    if "test" not in files and sentences >= 1000:
        splits["test"] = "10%"
    return CorpusPlan(
        format=form,
        files=files,
        splits=splits,
        tasks=tasks,
        skipped=skipped,
        sentences=sentences,
        tokens=tokens,
        english=english,
        inspected=len(records),
    )


def _filled(records: Iterable[Record]) -> Iterator[Record]:
    """Yield the records with words."""
    return (record for record in records if record.tokens)


def _by_split(paths: Sequence[Path]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {"train": []}
    for path in paths:
        parts = re.split(r"[^a-z]+", path.name.lower())
        roles = [r for r, names in _ROLES.items() if any(re.fullmatch(names, p) for p in parts)]
        # A single file is training data, even if it is called test.csv.
        role = roles[0] if roles and len(paths) > 1 else "train"
        files.setdefault(role, []).append(path)
    if not files["train"]:
        names = ", ".join(map(str, paths))
        raise MtlError(f"no training data among {names}: every name contains dev or test")
    return files


def _plan_tasks(
    form: Format, records: Sequence[Record], path: Path
) -> tuple[dict[str, TaskPlan], dict[str, str]]:
    tasks: dict[str, TaskPlan] = {}
    skipped: dict[str, str] = {}
    names = dict.fromkeys(name for record in records for name in record.columns)
    if form.reader == "conllu":  # a tagger cannot learn lemmas and relations
        names = dict.fromkeys(("upos", "xpos"))
    for name in names:
        task = _task_name(name, tasks)
        try:
            values = [record.columns.get(name) for record in records]
            if _per_token(name, records, values, path):
                tasks[task] = plan_tokens(name, [v for v in values if isinstance(v, list)])
            else:
                unlabelled = sum(value in ("", None) for value in values)
                tasks[task] = replace(plan_sentences(name, values), unlabelled=unlabelled)
        except Unsuitable as reason:
            skipped[name] = str(reason)
    return tasks, skipped


def _task_name(column: str, taken: Iterable[str]) -> str:
    """Return a name for the task of a column that no other task has."""
    name = re.sub(r"\W+", "_", column, flags=re.ASCII).strip("_") or "label"
    name = name if name[0].isalpha() and name not in FIELDS else f"label_{name}"
    number = 2
    unique = name
    while unique in taken:
        unique = f"{name}_{number}"
        number += 1
    return unique


def _per_token(name: str, records: Sequence[Record], values: Sequence[object], path: Path) -> bool:
    """Return whether the values are lists with one item per token.

    Raises:
        DataError: They are for most sentences, but not for all.
    """
    lists = [
        (record, value)
        for record, value in zip(records, values, strict=True)
        if isinstance(value, list)
    ]
    others = [(r, value) for r, value in lists if len(r.tokens) != len(value)]
    if not lists or len(others) > 0.5 * len(lists):
        return False
    for record, value in others:
        message = f"{name!r} has {len(value)} values for {len(record.tokens)} tokens"
        raise DataError(f"{message}; correct the line", path, record.line)
    return True


def _named(form: Format, tasks: Mapping[str, TaskPlan]) -> tuple[Format, dict[str, TaskPlan]]:
    """Return the format and the tasks with names instead of the numbers of columns."""
    names: dict[str, str] = {}
    for column, task in tasks.items():
        name = name_of(column if len(tasks) > 1 else "label", task)
        names[column] = name if name not in names.values() else column
    columns = [names.get(column, column) for column in form.options["columns"]]
    renamed = {
        names[column]: replace(task, labels=_with_column(task.labels, names[column]))
        for column, task in tasks.items()
    }
    return replace(form, options={**form.options, "columns": columns}), renamed


def _with_column(labels: object, column: str) -> object:
    return {**labels, "column": column} if isinstance(labels, dict) else column
