"""Where the labels of a task come from in a record."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from mtl.data.readers.base import Record
from mtl.errors import did_you_mean
from mtl.text.running import END

ABSENT = "_"
"""What CoNLL-U writes for no value: the label of a token without the feature."""


def neighbours(words: Sequence[str], side: str) -> list[str]:
    """Return the word "next" to each word of a sentence, the "previous" one, or the "same".

    >>> neighbours(["a", "b"], "next")
    ['b', '<eos>']
    """
    if side == "same":
        return [*words]
    return [*words[1:], END] if side == "next" else [END, *words[:-1]]


@dataclass(frozen=True, slots=True)
class Source:
    """A column, a comment, one key of the features or of MISC, or the words themselves.

    Of labels that are known of words, such as their frequency, the words are all that is stored:
    what they stand for follows from the training text, by a numbering of labels.

    Args:
        kind: "column", "metadata", "feature", "misc", "text" or "word".
        key: The name of the column or comment, or the key; for the text "next", "previous" or
            "same"; for the word "frequency".
        pattern: A regular expression whose group is the label; by default the value is.
        form: "label"; "set" or "number" for those of a sentence.
        separator: What stands between the labels of a set that is one string.
    """

    kind: str
    key: str
    pattern: str | None = None
    form: str = "label"
    separator: str | None = None

    @property
    def written(self) -> bool:
        """Whether the labels stand in the file, where they may be missing."""
        return self.kind not in ("text", "word")

    def labels(self, record: Record) -> list[str] | str | frozenset[str] | float | None:
        """Return one label a token, what the sentence has, or None where there is nothing.

        A sentence whose column holds nothing but "_" was not labelled. An empty string is the
        empty set, but neither a label nor a number.

        Raises:
            ValueError: The value is not of the form.
        """
        value = self._value(record)
        if self.form == "set":
            return self._set(value)
        if self.form == "number":
            return self._number(value)
        if value == "":
            return None
        if value is None or self.pattern is None:
            empty = self.kind == "column" and isinstance(value, list) and set(value) == {ABSENT}
            return None if empty else value
        if isinstance(value, str):
            return self._found(value)
        return [self._found(label) or ABSENT for label in value]

    def _set(self, value: list[str] | str | None) -> frozenset[str] | None:
        value = self._whole(value)
        if not isinstance(value, str):
            return None if value is None else frozenset(value)
        if value and self.separator is None:
            mend = "say by `separator:` what stands between labels"
            raise ValueError(f"expected a list of labels, found {value!r}; {mend}")
        parts = (part.strip() for part in value.split(self.separator))
        return frozenset(part for part in parts if part)

    def _number(self, value: list[str] | str | None) -> float | None:
        value = self._whole(value)
        if value is None or value == "":
            return None
        try:
            number = float(value) if isinstance(value, str) else math.inf
        except ValueError:
            number = math.inf
        if math.isinf(number):
            raise ValueError(f"expected a number, found {value!r}; leave it empty if it is unknown")
        return None if math.isnan(number) else number

    def _whole(self, value: list[str] | str | None) -> list[str] | str | None:
        """Return a value of the sentence, or what the pattern finds in it."""
        return self._found(value) if isinstance(value, str) and self.pattern else value

    def _value(self, record: Record) -> list[str] | str | None:
        if self.kind == "text":
            return neighbours(record.tokens, self.key)
        if self.kind == "word":
            return record.tokens
        if self.kind == "column":
            return record.columns.get(self.key)
        if self.kind == "metadata":
            column = record.columns.get(self.key)
            return record.metadata.get(self.key, column if isinstance(column, str) else None)
        values = record.columns.get(_PAIRS[self.kind])
        if isinstance(values, list):
            return [_pairs(value).get(self.key, ABSENT) for value in values]
        return None

    def _found(self, value: str) -> str | None:
        match = re.search(self.pattern or "(.*)", value)
        return match and match[1]

    def complaint(self, records: Iterable[Record]) -> str:
        """Return what to tell the user when the source gave no label: what there is instead.

        Args:
            records: Sentences of the corpus; the first thousand are looked at.
        """
        records = list(islice(records, 1000))
        if self.pattern is not None and (value := self._any_value(records)):
            return f"the pattern {self.pattern!r} finds nothing in {value!r}; correct it"
        names = {name for record in records for name in self._names(record)} - {self.key}
        hint = did_you_mean(self.key, names) or f"; they have no {self.kind} at all"
        return f"no sentence has a value for the {self.kind} {self.key!r}{hint}"

    def _any_value(self, records: Iterable[Record]) -> str | None:
        values = (self._value(record) or [] for record in records)
        each = (
            label for value in values for label in ([value] if isinstance(value, str) else value)
        )
        return next((label for label in each if label != ABSENT), None)

    def _names(self, record: Record) -> Iterable[str]:
        """Return the names that this kind of source could have in a record."""
        if self.kind == "column":
            return record.columns
        if self.kind == "metadata":
            return record.metadata
        values = record.columns.get(_PAIRS[self.kind], [])
        return {key for value in values for key in _pairs(value)}


_PAIRS = {"feature": "feats", "misc": "misc"}
"""The column of CoNLL-U in which each kind of key stands."""


def _pairs(value: str) -> dict[str, str]:
    """Return the values of `Number=Sing|Person=3` by key."""
    pairs = (pair.partition("=") for pair in value.split("|"))
    return {key: found for key, equals, found in pairs if equals}
