"""Checks of corrected copies: a reader finds the new labels, and everything else as before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mtl.analysis.audit.issues import Change, Issue
from mtl.config.run import Run
from mtl.data.corpus import label_source
from mtl.data.readers.base import Reader, Record
from mtl.errors import DataError, MtlError, did_you_mean
from mtl.experiment import build


def task_reader(run: Run, task: str) -> Reader:
    """Return the reader of the labels of a task.

    Raises:
        MtlError: The run has no such task, or its labels are not in files.
    """
    if task not in run.tasks:
        raise MtlError(f"the run has no task {task!r}{did_you_mean(task, run.tasks)}")
    if run.tasks[task].source.derived:
        raise MtlError(f"task {task!r}: its labels are derived from the words, not from a file")
    reader: Reader = build("reader", run.corpora[run.tasks[task].corpus].reader)
    return reader


def check_copy(run: Run, issues: Sequence[Issue], file: Path, copy: Path) -> None:
    """Check that a corrected copy differs from its file by the corrected labels alone.

    A label may have a meaning in a format, such as "_" for a missing one, or "#" for a comment.

    Args:
        run: The run with the tasks of the issues.
        issues: The corrections.
        file: The file.
        copy: The copy.

    Raises:
        DataError: A reader finds something else in the copy.
    """
    corpora: dict[str, list[Issue]] = {}
    for issue in issues:
        corpora.setdefault(run.tasks[issue.task].corpus, []).append(issue)
    for own in corpora.values():
        reader = task_reader(run, own[0].task)
        try:
            _compare(run, own, file, zip_longest(reader.read(file), reader.read(copy)))
        except DataError as error:
            if error.path != str(copy):
                raise
            message = f"a new label makes the file unreadable: {error.message}"
            raise DataError(message, file, error.line) from error


def _compare(
    run: Run,
    issues: Sequence[Issue],
    file: Path,
    records: Iterable[tuple[Record | None, Record | None]],
) -> None:
    by_line: dict[int, list[Issue]] = {}
    for issue in issues:
        by_line.setdefault(issue.line, []).append(issue)
    error: DataError | None = None
    for old, new in records:
        line = 0 if old is None else old.line
        own = by_line.pop(line, [])
        try:
            if old is None or new is None or not _same(old, new, whole=not own):
                raise DataError("a new label would change other parts of the file", file, line)
            for issue in own:
                _check_labels(run, issue, file, new)
        except DataError as found:
            error = error or found
    # A correction with a wrong line causes further errors.
    for line in by_line:
        raise DataError("no sentence starts here; copy the line of audit.jsonl again", file, line)
    if error:
        raise error


def _same(old: Record, new: Record, *, whole: bool) -> bool:
    """Return whether two records are equal, apart from their labels unless `whole`."""
    if whole:
        return old == new
    return (old.tokens, old.pair, old.line) == (new.tokens, new.pair, new.line)


def _check_labels(run: Run, issue: Issue, file: Path, record: Record) -> None:
    task = run.tasks[issue.task]
    place = f"task {issue.task!r}"
    try:
        found = label_source(task.source, task.scheme).read(record)
    except ValueError as error:
        raise DataError(f"{place}: {error}", file, issue.line) from error
    for change in issue.changes:
        if change.token is not None and change.token >= len(record.tokens):
            message = f"{place}: the sentence has no word {change.token + 1}"
            raise DataError(message, file, issue.line)
        value = None if found is None else _value(found[1], change)
        if value != _plain(change.new):
            message = f"{place}: {_shown(change.new)} would be read as {_shown(value)}"
            raise DataError(f"{message}; choose another label", file, issue.line)


def _value(gold: Any, change: Change) -> Any:
    """Return the label at the place of a change."""
    if change.token is not None and isinstance(gold, tuple) and change.token < len(gold):
        gold = gold[change.token]
    return _plain(gold)


def _plain(value: Any) -> Any:
    return sorted(set(value)) if isinstance(value, list | frozenset) else value


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"the set {', '.join(value) or '(empty)'}"
    return "no label" if value is None else repr(value)
