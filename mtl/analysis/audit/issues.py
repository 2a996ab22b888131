"""Suspicious labels: the lines of `audit.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, TypeAdapter, ValidationError

from mtl.errors import DataError
from mtl.files import atomic_write, open_text

IssueKind: TypeAlias = Literal["label", "missing", "extra", "type", "boundaries", "several"]
"""The kind of an issue: a wrong label; a missing span, a span that is not one, a span of another
type, a span with other boundaries; or several spans that differ in part."""

DIGITS = 3
"""Significant digits of probabilities in files."""

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""Lines of files may be changed by hand, so their fields are checked."""


@dataclass(frozen=True, slots=True)
class Change:
    """A label to replace.

    Args:
        token: Index of the token in the sentence, from 0; None for a label of the sentence.
        old: The given label; for a set, its labels.
        new: The suggested label, or the labels of the set.
    """

    token: int | None
    old: str | list[str]
    new: str | list[str]

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True)
class Issue:
    """A label, a set of labels, or spans that may be wrong.

    Args:
        task: The task.
        kind: The kind of the issue.
        given: The given label or spans, as text.
        suggested: The suggested label or spans, as text.
        score: See `suspicion`; the lower, the more suspicious.
        given_probability: The probability of the given labels.
        suggested_probability: The probability of the suggested labels.
        file: Path of the file.
        checksum: Checksum of the content of the file, which `mtl correct` compares.
        line: Line at which the sentence starts, from 1.
        sentence: Index of the sentence in the file, from 0.
        start: The first token in question; None for the whole sentence.
        end: The token after the last one in question; None for the whole sentence.
        tokens: The words of the sentence.
        changes: The labels to replace.
        second: The word at which the second sentence of a pair begins; None for single sentences.
    """

    task: str
    kind: IssueKind
    given: str
    suggested: str
    score: float
    given_probability: float
    suggested_probability: float
    file: str
    checksum: str
    line: int
    sentence: int
    start: int | None
    end: int | None
    tokens: tuple[str, ...]
    changes: tuple[Change, ...]
    second: int | None = None

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    @property
    def words(self) -> str:
        """The words in question."""
        return " ".join(self.tokens[self.start : self.end])

    def to_dict(self) -> dict[str, Any]:
        """Return the issue as JSON types."""
        fields = asdict(self)
        for name in ("score", "given_probability", "suggested_probability"):
            fields[name] = float(f"{fields[name]:.{DIGITS}g}")
        if self.second is None:
            del fields["second"]
        return fields


def ranked(issues: Iterable[Issue]) -> list[Issue]:
    """Return issues in order: the most suspicious first; equal ones in the order of the files."""
    order = sorted(issues, key=lambda own: (own.file, own.sentence, own.start or 0, own.task))
    return sorted(order, key=lambda own: own.score)


def write_issues(issues: Iterable[Issue], path: Path) -> None:
    """Write issues as JSON lines."""
    with atomic_write(path) as file:
        for own in issues:
            file.write(json.dumps(own.to_dict(), ensure_ascii=False) + "\n")


def read_issues(path: Path) -> list[Issue]:
    """Read issues as `write_issues` writes them.

    Raises:
        DataError: A line is not an issue.
    """
    issues = []
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                issues.append(_read(line, path, number))
    return issues


@cache
def _adapter() -> TypeAdapter[Issue]:
    return TypeAdapter(Issue)


def _read(line: str, path: Path, number: int) -> Issue:
    try:
        issue = _adapter().validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        problem = f"{place}: {first['msg']}" if place else first["msg"]
    else:
        problem = _problem(issue)
    if problem:
        message = f"expected a line of audit.jsonl: {problem}; copy the line again"
        raise DataError(message, path, number)
    return issue


def _problem(issue: Issue) -> str:
    """Return the reason why no file can have this issue; empty if one can."""
    if not issue.changes:
        return "changes: expected at least one"
    if issue.line < 1 or issue.sentence < 0:
        return "line: expected a number from 1, and from 0 for the sentence"
    if any(change.token is not None and change.token < 0 for change in issue.changes):
        return "changes: expected the index of a token, from 0"
    return ""


def excerpt(issue: Issue, around: int) -> tuple[str, str, str]:
    """Return the words before, in and after an issue, with at most `around` words on each side."""
    start = 0 if issue.start is None else issue.start
    end = len(issue.tokens) if issue.end is None else issue.end
    before, after = issue.tokens[max(0, start - around) : start], issue.tokens[end : end + around]
    return (
        ("… " * (start > around)) + " ".join(before),
        " ".join(issue.tokens[start:end]),
        " ".join(after) + (" …" * (end + around < len(issue.tokens))),
    )


def labels_text(labels: Sequence[str]) -> str:
    """Return a set of labels as text."""
    return ", ".join(labels) or "–"
