"""Sources of labels: the places in a record that contain the gold values of a task."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mtl.data.readers.base import Record
from mtl.data.readers.offsets import OffsetSpans
from mtl.errors import did_you_mean
from mtl.targets import ABSENT, DERIVED, FORMS, UNLABELLED, Target
from mtl.text.example import Labels
from mtl.text.running import END
from mtl.text.spans import Scheme

_FEATURE_COLUMNS = {"feature": "feats", "misc": "misc"}
"""Kind of source to the column of CoNLL-U that holds its keys."""


def neighbours(words: Sequence[str], side: str) -> list[str]:
    """Return the "next", the "previous" or the "same" word for each word of a sentence.

    >>> neighbours(["a", "b"], "next")
    ['b', '<eos>']
    """
    if side == "same":
        return [*words]
    return [*words[1:], END] if side == "next" else [END, *words[:-1]]


@dataclass(frozen=True, slots=True)
class Source:
    """A column, a comment, a key of the features or of MISC, or the words themselves.

    For labels that depend on the words alone, such as their frequency, only the words are stored.
    The target computes the labels once all training text has been counted.

    Args:
        kind: "column", "metadata", "feature", "misc", "text" or "word".
        key: The name of the column or comment, or the key; "next", "previous" or "same" for the
            text; "frequency" for the word.
        pattern: A regular expression whose group is the value; None takes the whole value.
        form: The form of the labels, a key of `mtl.targets.FORMS`.
        separator: The separator of items in a string.
        weight: The column with the weight of each sentence in the loss; None weighs all equally.
        scheme: The scheme of span tags, in which spans by character offsets are written.
    """

    kind: str
    key: str
    pattern: str | None = None
    form: str = "label"
    separator: str | None = None
    weight: str | None = None
    scheme: Scheme | None = None

    @property
    def written(self) -> bool:
        """Whether the labels are in the file, where they may be missing."""
        return self.kind not in DERIVED

    @property
    def targets(self) -> tuple[type[Target], ...]:
        """The targets that may read the labels."""
        return DERIVED[self.kind] if self.kind in DERIVED else FORMS[self.form]

    def read(self, record: Record) -> tuple[type[Target], Labels] | None:
        """Return the gold value of a record with its target, or None if the value is missing.

        Raises:
            ValueError: The value does not have the form.
        """
        value = self._value(record)
        if isinstance(value, OffsetSpans) and self.form == "label":
            value = self._tags(value, record)
        value = without_blanks(value)
        if self.pattern is not None:
            value = self._matched(value)
        elif self.kind in ("column", "metadata"):
            value = self._labelled(value)
        # Without a target that accepts the value, the first one raises the error with its reason.
        target = next((t for t in self.targets if t.accepts(value)), self.targets[0])
        gold = target.read(value, self.separator)
        return None if gold is None else (target, gold)

    def _tags(self, spans: OffsetSpans, record: Record) -> list[str]:
        """Return spans by character offsets as one tag per word."""
        if self.scheme is not None:
            return spans.tags(record.tokens, self.scheme)
        if not spans:
            return spans
        raise ValueError(
            f"the column {self.key!r} holds spans such as {spans[0]!r}, expected one label; set "
            "`scheme: bio` in the task to read them as tags"
        )

    def by_offsets(self, record: Record) -> bool:
        """Return whether `read` makes the labels of a record from spans by character offsets."""
        return self.scheme is not None and isinstance(self._value(record), OffsetSpans)

    def has_blanks(self, record: Record) -> bool:
        """Return whether the value of a record has blanks around labels, which `read` removes."""
        value = self._value(record) if self.written else None
        return bool(without_blanks(value) != value)

    def read_weight(self, record: Record) -> float | None:
        """Return the weight of a record, or None if it has none.

        Raises:
            ValueError: The column does not contain a number of at least 0.
        """
        if self.weight is None:
            return None
        value = record.columns.get(self.weight, record.metadata.get(self.weight))
        if value is None:
            return None
        try:
            weight = float(value) if isinstance(value, str) else math.nan
        except ValueError:
            weight = math.nan
        if not 0 <= weight < math.inf:
            raise ValueError(
                f"weight {self.weight!r}: expected a number of at least 0, found {value!r}"
            )
        return weight

    def _value(self, record: Record) -> Any:
        if self.kind == "text":
            return neighbours(record.tokens, self.key)
        if self.kind == "word":
            # Frequencies need the counts of the whole corpus; the target computes them later.
            return record.tokens
        if self.kind == "column":
            return record.columns.get(self.key)
        if self.kind == "metadata":
            # Readers of tables have one string per sentence in a column, not in a comment.
            column = record.columns.get(self.key)
            return record.metadata.get(self.key, column if isinstance(column, str) else None)
        values = record.columns.get(_FEATURE_COLUMNS[self.kind])
        if isinstance(values, list):
            return [_pairs(value).get(self.key, ABSENT) for value in values]
        return None

    def _labelled(self, value: Any) -> Any:
        """Return a value without placeholders for missing labels: None in their place."""
        # A sentence with "_" for each token has no labels in CoNLL-U, whatever their form is.
        if isinstance(value, list) and value and value == [ABSENT] * len(value):
            return None
        if self.form != "label":
            return value
        if isinstance(value, list):
            return [None if item in UNLABELLED else item for item in value]
        return None if value == ABSENT else value

    def _matched(self, value: Any) -> Any:
        """Return the group of the pattern in a string, or in each string of a list."""
        if isinstance(value, str):
            return None if value == "" and self.form == "label" else self._group(value)
        if isinstance(value, list) and self.form == "label":
            return [label and (self._group(label) or ABSENT) for label in value]
        return value

    def _group(self, value: str) -> str | None:
        match = re.search(self.pattern or "(.*)", value)
        return match and match[1]

    def complaint(self, records: Iterable[Record]) -> str:
        """Return the error for a source without any label, with the names that the records have.

        Args:
            records: Sentences of the corpus; the first thousand are searched.
        """
        records = list(islice(records, 1000))
        if self.pattern is not None and (value := self._any_value(records)):
            return f"the pattern {self.pattern!r} finds nothing in {value!r}; correct it"
        names = {name for record in records for name in self._names(record)}
        if self.key in names:
            return f"the {self.kind} {self.key!r} is empty in all sentences"
        advice = did_you_mean(self.key, names) or f"; the sentences have no {self.kind} at all"
        return f"`labels` names the {self.kind} {self.key!r}, which no sentence has{advice}"

    def _any_value(self, records: Iterable[Record]) -> str | None:
        values = (self._value(record) or [] for record in records)
        labels = (
            label for value in values for label in ([value] if isinstance(value, str) else value)
        )
        return next((label for label in labels if label not in (None, ABSENT)), None)

    def _names(self, record: Record) -> Iterable[str]:
        """Return the names that this kind of source could have in a record."""
        if self.kind == "column":
            return record.columns
        if self.kind == "metadata":
            return record.metadata
        values = record.columns.get(_FEATURE_COLUMNS[self.kind], [])
        return {key for value in values for key in _pairs(value)}


def without_blanks(value: Any) -> Any:
    """Return the value of a column without the blanks around its labels.

    >>> without_blanks(["A ", ["B", " C"], None, {" D": 1}])
    ['A', ['B', 'C'], None, {'D': 1}]

    Raises:
        ValueError: Two labels of an object differ only by blanks.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return [i.strip() if isinstance(i, str) else without_blanks(i) for i in value]
    if isinstance(value, dict):
        names = {key.strip(): number for key, number in value.items()}
        if len(names) < len(value):
            raise ValueError(f"labels that differ only by blanks: {value!r}")
        return names
    return value


def _pairs(value: str) -> dict[str, str]:
    """Return the values of `Number=Sing|Person=3` by key."""
    pairs = (pair.partition("=") for pair in value.split("|"))
    return {key: item for key, equals, item in pairs if equals}
