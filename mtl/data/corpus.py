"""Corpora: sentences with the labels of all their tasks, split for training and evaluation."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from mtl.data.hints import Hint, LabelSource, read_lexicon
from mtl.data.places import read_places
from mtl.data.sources import Source
from mtl.data.splits import cut, fold
from mtl.data.store import SentenceTable, default_cache, stored
from mtl.data.writer import ReadingProgress, Summary, label_column, weight_column
from mtl.errors import ConfigError, DataError, MtlError, Place, did_you_mean
from mtl.files import PACKAGE
from mtl.options import count
from mtl.targets import SentenceLabelTarget, Target, target_by_name
from mtl.text.example import Example, Labels
from mtl.text.spans import Scheme
from mtl.text.subwords import Subwords

if TYPE_CHECKING:
    from mtl.config.corpus import CorpusConfig, SourceConfig
    from mtl.data.readers.base import Reader

_BATCH = 1000
"""The number of examples that are fetched at once during iteration."""

_COUNTED = 20_000
"""The number of sentences whose words or labels are counted at once; that part is copied."""


class Split(Sequence[Example]):
    """Examples on disk, mapped into memory; only requested examples become Python objects.

    Args:
        table: The sentences of some files.
        targets: Task to the target of its labels.
        rows: The rows of the table that belong to the split; by default all.
        withheld: Task to a mask over the table, `[sentences]` bool: True where the labels of
            the task are treated as missing.
    """

    def __init__(
        self,
        table: SentenceTable,
        targets: Mapping[str, type[Target]],
        rows: np.ndarray | None = None,
        withheld: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.table = table
        self.targets = dict(targets)
        self.rows = np.arange(len(table), dtype=np.int32) if rows is None else rows
        self.withheld = dict(withheld or {})

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return self.examples(range(len(self))[index])
        return self.examples([range(len(self))[index]])[0]

    def __iter__(self) -> Iterator[Example]:
        for start in range(0, len(self), _BATCH):
            yield from self[start : start + _BATCH]

    def examples(self, indices: Sequence[int]) -> list[Example]:
        """Return several examples at once: this takes little longer than reading one."""
        labelled = [label_column(task) for task in self.targets]
        weighted = [weight_column(task) for task in self.targets]
        weighted = [name for name in weighted if name in self.table.columns]
        columns = self._fetch(["tokens", "line", "second", *labelled, *weighted], indices)
        labels = {
            task: self._gold(task, columns[label_column(task)], indices) for task in self.targets
        }
        weights = {
            task: columns[weight_column(task)]
            for task in self.targets
            if weight_column(task) in columns
        }
        return [
            Example(
                tuple(tokens),
                {task: value for task, gold in labels.items() if (value := gold[i]) is not None},
                line,
                columns["second"][i],
                {task: own[i] for task, own in weights.items() if own[i] is not None},
            )
            for i, (tokens, line) in enumerate(zip(columns["tokens"], columns["line"], strict=True))
        ]

    def limited(self, number: int) -> Split:
        """Return the `number` sentences with the lowest hashes, in their original order."""
        hashes = self.table.hashes[self.rows]
        # By hash instead of at random: a smaller sample is always part of a larger one.
        sample = np.sort(np.argsort(hashes, kind="stable")[:number])
        return Split(self.table, self.targets, self.rows[sample], self.withheld)

    def with_labels(self, task: str) -> Split:
        """Return the sentences with labels of a task."""
        return Split(self.table, self.targets, self._labelled_rows(task), self.withheld)

    def part(self, number: int, parts: int) -> Split:
        """Return one of several parts with nearly equal numbers of tokens, in the original order.

        Args:
            number: The number of the part, from 0.
            parts: The number of parts.
        """
        if parts == 1:
            return self
        sizes = np.cumsum(self.lengths.astype(np.int64) + 1)
        total = int(sizes[-1]) if len(sizes) else 0
        begin, end = np.searchsorted(sizes, [total * (number + i) // parts for i in (0, 1)], "left")
        end = len(self) if number + 1 == parts else end
        return Split(self.table, self.targets, self.rows[int(begin) : int(end)], self.withheld)

    def without(self, tasks: Collection[str]) -> Split:
        """Return the split without the labels of some tasks."""
        targets = {task: target for task, target in self.targets.items() if task not in tasks}
        return Split(self.table, targets, self.rows, self.withheld)

    def labelled_where(self, task: str, by: str, values: Sequence[str]) -> Split:
        """Return the split with a task's labels only where another task's label is in `values`.

        Args:
            task: The task.
            by: The other task, which has one label per sentence.
            values: Labels of the other task; each must occur.

        Raises:
            MtlError: One of the labels does not occur, or the other task does not have one label
                per sentence.
        """
        # The sentences stay in the split: other tasks of the corpus still use them.
        withheld = self.withheld.get(task, np.zeros(len(self.table), dtype=bool)).copy()
        withheld[self.rows] |= ~self._among(by, values)
        return Split(self.table, self.targets, self.rows, {**self.withheld, task: withheld})

    def where(self, by: str, values: Sequence[str]) -> Split:
        """Return the split with only the sentences that keep their labels in `labelled_where`."""
        return Split(self.table, self.targets, self.rows[self._among(by, values)], self.withheld)

    def _among(self, by: str, values: Sequence[str]) -> np.ndarray:
        if not issubclass(self.targets[by], SentenceLabelTarget):
            raise MtlError("expected a task with one label per sentence")
        labels = list(self.labels(by))
        for value in values:
            if value not in labels:
                known = {str(label) for label in labels}
                raise MtlError(f"no sentence has the label {value!r}{did_you_mean(value, known)}")
        return np.array([label in values for label in labels])

    def labels(self, task: str) -> Iterator[Labels | None]:
        """Yield the labels of a task for each sentence, None where it has none."""
        name = label_column(task)
        for start in range(0, len(self), _BATCH):
            indices = range(len(self))[start : start + _BATCH]
            yield from self._gold(task, self._fetch([name], indices)[name], indices)

    def word_counts(self) -> Counter[str]:
        """Return the number of occurrences of each word."""
        return self._counts("tokens", self.rows)

    def item_counts(self, task: str) -> Counter[str]:
        """Return the number of occurrences of each string that stores labels of a task."""
        return self._counts(label_column(task), self._labelled_rows(task))

    def labelled(self, task: str) -> int:
        """Return the number of sentences with labels of a task."""
        return len(self._labelled_rows(task))

    def total_weight(self, task: str) -> float | None:
        """Return the sum of the weights of the labelled sentences; None without weights."""
        name = weight_column(task)
        if name not in self.table.table.column_names:
            return None
        weights = self.table.table.column(name).take(self._labelled_rows(task)).drop_null()
        return math.fsum(chain.from_iterable(part.to_numpy() for part in weights.iterchunks()))

    def _labelled_rows(self, task: str) -> np.ndarray:
        known = np.asarray(self.table.table.column(label_column(task)).is_valid())
        if task in self.withheld:
            known &= ~self.withheld[task]
        rows: np.ndarray = self.rows[known[self.rows]]
        return rows

    def _counts(self, name: str, rows: np.ndarray) -> Counter[str]:
        """Return the number of occurrences of each string in a column of lists."""
        key = "counts", name, hashlib.blake2b(rows.astype(np.int64).tobytes()).hexdigest()
        # A list keeps the order, in which words of equal frequency are numbered.
        pairs = self.table.result(key, lambda: [*self._count(name, rows).items()])
        return Counter(dict(pairs))

    def _count(self, name: str, rows: np.ndarray) -> Counter[str]:
        import pyarrow.compute as pc

        column = self.table.table.column(name)
        counts: Counter[str] = Counter()
        rows = np.sort(rows)
        for start in range(0, len(self.table), _COUNTED):
            # `take` copies its whole input, so each part of the table is taken from alone.
            first, last = np.searchsorted(rows, [start, start + _COUNTED]).tolist()
            if first == last:
                continue
            part = column.slice(start, _COUNTED)
            part = part.take(rows[first:last] - start) if last - first < len(part) else part
            table = pc.value_counts(pc.list_flatten(part))
            strings, numbers = table.field("values").to_pylist(), table.field("counts").to_pylist()
            for string, number in zip(strings, numbers, strict=True):
                counts[string] += number
            self.table.touched(_COUNTED)
        return counts

    def words(self, start: int, end: int) -> list[list[str]]:
        """Return the words of the sentences from `start` to `end`; the range must not be empty."""
        rows = self.rows[start:end]
        first = int(rows.min())
        # `take` copies its whole input, so the input is first narrowed to the rows in question.
        near = self.table.table.column("tokens").slice(first, int(rows.max()) - first + 1)
        sentences: list[list[str]] = near.take(rows - first).to_pylist()
        self.table.touched(len(rows))
        return sentences

    @cached_property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each sentence, `[sentences]` int32."""
        import pyarrow.compute as pc

        column = pc.list_value_length(self.table.table.column("tokens"))
        lengths: np.ndarray = np.asarray(column, dtype=np.int32)[self.rows]
        self.table.touched(len(self.table))
        return lengths

    def _fetch(self, columns: Sequence[str], indices: Sequence[int]) -> dict[str, list[Any]]:
        return self.table.fetch(self.rows[np.asarray(indices, dtype=np.intp)], columns)

    def _gold(
        self, task: str, column: Sequence[list[str] | None], indices: Sequence[int]
    ) -> list[Labels | None]:
        """Return the labels of a task from its column, None where they are missing or withheld."""
        if task in self.withheld:
            hidden = self.withheld[task][self.rows[np.asarray(indices, dtype=np.intp)]]
            column = [None if h else labels for h, labels in zip(hidden, column, strict=True)]
        target = self.targets[task]
        return [None if labels is None else target.unpack(labels) for labels in column]


@dataclass(frozen=True)
class Corpus:
    """The splits of a corpus.

    Args:
        name: The name in messages and tables.
        splits: "train", and "dev" and "test" if the corpus has them.
        notes: Notes for the user on how the splits were made.
        subwords: The subwords of a corpus with `tokenize: subwords`, else None.
    """

    name: str
    splits: Mapping[str, Split]
    notes: Sequence[str] = field(default_factory=list)
    subwords: Subwords | None = None


def load_corpus(
    config: CorpusConfig,
    reader: Reader,
    *,
    cache: Path | None = None,
    progress: ReadingProgress | None = None,
) -> Corpus:
    """Read a corpus, from the cache if its files and its settings have not changed.

    A sentence without the column or comment of a task has no labels for that task.

    Args:
        config: The files, splits, tasks and label sources of the corpus.
        reader: Reads the files.
        cache: The folder of the cache, by default `$MTL_CACHE` or `~/.cache/mtl`.
        progress: Displays the progress of reading files that are not in the cache.

    Raises:
        DataError: The files cannot be read, a task has no labels in any file, or the number of
            sentences differs from `expect`.
    """
    cache = cache or default_cache()
    sources = {task: label_source(part.labels, part.scheme) for task, part in config.tasks.items()}
    files = {split: [Path(path) for path in paths] for split, paths in config.files.items()}
    for path in chain(*files.values()):
        if PACKAGE in path.parents and not path.exists():
            message = "the package does not contain this file; set MTL_DATA to the folder of your"
            raise DataError(f"{message} corpora", path)
    entries = {
        split: stored(reader, paths, sources, cache, progress) for split, paths in files.items()
    }
    summaries = {split: summary for split, (_, summary) in entries.items()}
    targets = _check_labels(reader, files, sources, summaries)
    splits = {split: Split(table, targets) for split, (table, _) in entries.items()}
    for split, rows in _cut(config, reader, splits["train"]).items():
        splits[split] = Split(entries["train"][0], targets, rows)
    # For a split with files, `expect` counts them whole, also if other splits are cut from them.
    sizes = {split: len(rows) for split, rows in splits.items()}
    sizes |= {split: summary.sentences for split, summary in summaries.items()}
    for split, expected in config.expect.items():
        if sizes[split] != expected:
            message = f"{split}: expected {expected} sentences, found {sizes[split]}"
            advice = "is the file whole? else correct `expect:`"
            raise DataError(f"{message}; {advice}", files.get(split, files["train"])[0])
    notes = _notes(splits, summaries, files)
    taken, chosen = _take(config, splits)
    return Corpus(config.name, taken, notes + chosen)


def label_source(config: SourceConfig, scheme: Scheme | None) -> LabelSource:
    """Return the source of the labels of a task."""
    if hint := config.hint:
        return Hint(hint.level, hint.pattern, read_lexicon(hint.lexicon) if hint.lexicon else None)
    return Source(
        config.kind,
        config.key,
        config.pattern,
        config.form,
        config.separator,
        config.weight,
        scheme,
    )


def _notes(
    splits: Mapping[str, Split],
    summaries: Mapping[str, Summary],
    files: Mapping[str, list[Path]],
) -> list[str]:
    """Return a note on each oddity of the files and each difference from them."""
    empty = [
        f"{split}: {summary.empty} rows without words left out"
        for split, summary in summaries.items()
        if summary.empty
    ]
    odd = [
        f"{split}: {oddity} ({count(number, 'sentence')}, first "
        f"{Place(files[split][file].name, line)})"
        for split, summary in summaries.items()
        for oddity, (number, file, line) in summary.oddities.items()
    ]
    total = summaries["train"].sentences
    cut = [
        f"{split}: {len(rows):,} of {total:,} sentences cut from train"
        for split, rows in splits.items()
        if split not in summaries
    ]
    return empty + odd + cut


def _cut(config: CorpusConfig, reader: Reader, train: Split) -> dict[str, np.ndarray]:
    """Return the rows of all splits that are cut from the training sentences, "train" last."""
    hashes = train.table.hashes
    try:
        if config.folds is not None:
            own = config.folds
            paths = [Path(path) for path in config.files["train"]]
            documents = read_places(reader, paths).documents if own.documents else None
            others, test = fold(hashes, own.count, own.fold, seed=own.seed, documents=documents)
            if own.dev is None:
                return {"test": test, "train": others}
            parts = cut(hashes[others], {"dev": own.dev})
            return {"test": test, **{split: others[rows] for split, rows in parts.items()}}
        return cut(hashes, config.splits) if config.splits else {}
    except MtlError as error:
        raise DataError(str(error), config.files["train"][0]) from error


def _check_labels(
    reader: Reader,
    files: Mapping[str, list[Path]],
    sources: Mapping[str, LabelSource],
    summaries: Mapping[str, Summary],
) -> dict[str, type[Target]]:
    """Return the target of each task.

    Raises:
        DataError: A task has no labels in any file, or labels of two forms.
    """
    targets: dict[str, type[Target]] = {}
    for task, source in sources.items():
        labelled = any(summary.labelled[task] for summary in summaries.values())
        if isinstance(source, Source) and source.written and not labelled:
            # Only this error needs the records again; the cache has no names of columns.
            path = files["train"][0]
            raise DataError(f"task {task!r}: {source.complaint(reader.read(path))}", path)
        # Only training uses weights: the files of other splits need no such column.
        if task in summaries["train"].unweighted:
            raise DataError(
                f"task {task!r}: expected a weight in the column {source.weight!r}, found none; "
                "correct `weight:`, or give each labelled sentence a number of at least 0",
                files["train"][0],
                summaries["train"].unweighted[task],
            )
        for split, summary in summaries.items():
            if task not in summary.targets:
                continue
            target = target_by_name(summary.targets[task])
            known = targets.setdefault(task, target)
            if known is not target:
                forms = f"one value per {target.level}, in other splits one per {known.level}"
                raise DataError(f"task {task!r}: {forms}; make them alike", files[split][0])
    return targets


def _take(config: CorpusConfig, splits: Mapping[str, Split]) -> tuple[dict[str, Split], list[str]]:
    """Return the splits after the filters `where` and then `limit`, and notes for the user.

    Args:
        config: The description of the corpus.
        splits: All sentences, by split.

    Raises:
        ConfigError: A filter names an unknown label, or no sentence passes the filters.
    """
    taken, notes = {}, []
    for name, whole in splits.items():
        part = whole
        try:
            for by, values in config.where.get(name, {}).items():
                part = part.where(by, values)
        except MtlError as error:
            raise ConfigError(f"corpora.{config.name}.where.{name}: {error}") from error
        if not len(part):
            raise ConfigError(f"corpora.{config.name}.where.{name}: no sentence is left")
        if name in config.limit:
            part = part.limited(config.limit[name])
        if part is not whole:
            notes.append(f"{name}: {len(part)} of {len(whole)} sentences taken")
        taken[name] = part
    return taken, notes
