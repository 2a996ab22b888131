"""Recognition of labels: the form of the values of a column, its scheme and its metric."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mtl.errors import MtlError, shorten
from mtl.options import count
from mtl.text.spans import SCHEMES, malformed, parse_tag, read_spans

_IDENTIFIER = re.compile(r"(?i)(?:.*_)?(?:id|idx|index|no|nr|key|uuid|guid|url|date|time|line)")
_UNLABELLED = ("", "_")
_UPOS = {
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN"),
    *("PUNCT", "SCONJ", "SYM", "VERB", "X"),
}
_PENN = {"NN", "NNS", "NNP", "VB", "VBD", "VBZ", "IN", "DT", "JJ", "CD", "PRP", "RB", "CC", "TO"}
_CHUNKS = {"NP", "VP", "PP", "ADVP", "ADJP", "SBAR"}
_FEW = 20
"""Number of different values that even a small file may have as labels."""


@dataclass(frozen=True)
class TaskPlan:
    """A task that a column allows.

    Args:
        labels: The key `labels` of the corpus file.
        head: The key `head`.
        metric: The name of the metric.
        counts: Label or span type to its number of occurrences; empty for numbers.
        description: The labels in words.
        scheme: The tag scheme of the file, or None.
        note: A probable mistake in the labels, with its remedy; empty if there is none.
        unlabelled: The number of sentences without a label, for tasks with one per sentence.
    """

    labels: Any
    head: dict[str, Any]
    metric: str
    counts: Counter[str] = field(default_factory=Counter)
    description: str = ""
    scheme: str | None = None
    note: str = ""
    unlabelled: int = 0


class Unsuitable(Exception):
    """The values of a column cannot be labels; the message gives the reason."""


def plan_tokens(name: str, sentences: Sequence[Sequence[Any]]) -> TaskPlan:
    """Return the task of a column with one value per token.

    Args:
        name: The name of the column.
        sentences: Its values, one list per sentence.

    Raises:
        Unsuitable: The values cannot be labels.
    """
    values = [value for row in sentences for value in row if value not in _UNLABELLED]
    if not values:
        raise Unsuitable("no values")
    if any(not isinstance(value, str) for value in values):
        raise Unsuitable("lists of labels per token; see docs/sentences.md for their form")
    if scheme := _scheme(sentences):
        spans = Counter(span.type for row in sentences for span in read_spans(_filled(row)))
        if any(spans):
            head = {"type": "crf", "scheme": "iobes"}
            description = f"spans in {scheme.upper()} tags, {count(len(spans), 'type')}"
            return TaskPlan(name, head, "span_f1", spans, description, scheme)
    counts = Counter(values)
    if len(counts) < 2:
        raise Unsuitable(f"every token has the label {values[0]!r}")
    if len(counts) == 2 and "-" in counts:
        raise Unsuitable(f"every token has the label {max(counts)!r} or '-'")
    if all(_positions(row) for row in sentences):
        raise Unsuitable("the positions of the words")
    if _numeric(values) and len(counts) > _FEW:
        labels = {"column": name, "form": "token_number"}
        return TaskPlan(labels, {"type": "softmax"}, "pearson", description="one number per token")
    if len(counts) > max(_FEW, 0.1 * len(values)):
        raise Unsuitable(f"{len(counts):,} different values for {len(values):,} tokens")
    description = f"one label per token, {count(len(counts), 'label')}"
    note = _note_on_spans(counts)
    return TaskPlan(name, {"type": "softmax"}, "accuracy", counts, description, note=note)


def plan_sentences(name: str, values: Sequence[Any]) -> TaskPlan:
    """Return the task of a column with one value per sentence.

    Args:
        name: The name of the column.
        values: Its values: strings, lists of strings, or objects of label to number.

    Raises:
        Unsuitable: The values cannot be labels.
    """
    values = [value for value in values if value not in ("", None)]
    if not any(values):  # empty lists are sets without labels
        raise Unsuitable("no values")
    if all(isinstance(value, list) for value in values):
        return _plan_sets(name, values, None)
    if all(isinstance(value, dict) for value in values):
        numbers = [number for value in values for number in value.values()]
        if not all(isinstance(number, (int, float)) for number in numbers):
            raise Unsuitable("objects with other values than numbers")
        counts = Counter(label for value in values for label in value)
        labels: Any = {"column": name, "form": "soft"}
        description = f"distributions over {count(len(counts), 'label')}"
        return TaskPlan(labels, {"type": "pool"}, "divergence", counts, description)
    if not all(isinstance(value, str) for value in values):
        raise Unsuitable("values of several kinds")
    # Tables of pandas may have NaN in place of a missing number.
    given = [value for value in values if value.strip().casefold() != "nan"]
    if len(given) < len(values) and given and _numeric(given):
        values = given
    counts = Counter(values)
    if len(counts) < 2:
        raise Unsuitable(f"every sentence has the label {shorten(values[0], 40)!r}")
    identifier = _IDENTIFIER.fullmatch(name) and len(counts) > _FEW
    if identifier or (len(counts) == len(values) > _FEW and not _numeric(values)):
        raise Unsuitable("every sentence has another value")
    if _numeric(values) and (len(counts) > _FEW or not all(float(v).is_integer() for v in counts)):
        if len(counts) == len(values) and all(float(value).is_integer() for value in counts):
            raise Unsuitable("every sentence has another number")
        labels = {"column": name, "form": "number"}
        return TaskPlan(labels, {"type": "pool"}, "pearson", description="one number per sentence")
    if separator := _separator(counts):
        return _plan_sets(name, [_items(value, separator) for value in values], separator)
    if len(counts) > max(_FEW, 0.2 * len(values)):
        raise Unsuitable(f"{len(counts):,} different values for {len(values):,} sentences")
    longest = max(counts, key=len)
    if len(longest) > 60:
        raise Unsuitable(f"texts, such as {shorten(longest, 40)!r}")
    description = f"one label per sentence, {count(len(counts), 'label')}"
    return TaskPlan(name, {"type": "cnn"}, "accuracy", counts, description)


def _positions(row: Sequence[str]) -> bool:
    """Return whether the values of a sentence count its tokens, from 0 or from 1."""
    return any(list(row) == [str(k + first) for k in range(len(row))] for first in (0, 1))


def name_of(column: str, task: TaskPlan) -> str:
    """Return a name for the labels of a column without a name of its own.

    The values decide: `pos` for parts of speech, `chunk` for phrases, `ner` for other spans, and
    the given name otherwise.
    """
    if task.scheme:
        return "chunk" if len(_CHUNKS & set(task.counts)) >= 2 else "ner"
    if len(_UPOS & set(task.counts)) >= 4 or len(_PENN & set(task.counts)) >= 4:
        return "pos"
    return column


def _scheme(sentences: Sequence[Sequence[str]]) -> str | None:
    """Return the tag scheme of the values, or None for labels without spans."""
    rows = [_filled(row) for row in sentences]
    tags = {tag for row in rows for tag in row}
    try:
        kinds = {parse_tag(tag) for tag in tags}
    except MtlError:
        return None
    if not any(prefix != "O" for prefix, _ in kinds):
        return None
    errors = {scheme: sum(malformed(row, scheme) for row in rows) for scheme in SCHEMES}
    return min(errors, key=lambda scheme: errors[scheme])


_NEARLY_SPANS = (
    r"(?P<type>.+)[-_](?P<prefix>[BIESLUM])",
    r"(?P<prefix>[BIESLUM])[-_](?P<type>.+)",
)
"""Patterns of span tags such as PER-B and B_PER, in capitals or small letters."""


def _note_on_spans(labels: Iterable[str]) -> str:
    """Return a note on labels that look like the tags of spans in another form, or ""."""
    names = [label for label in labels if label not in ("O", "o")]
    for pattern in _NEARLY_SPANS:
        matches = [re.fullmatch(pattern, name, re.IGNORECASE) for name in names]
        found = [match for match in matches if match]
        if found and len(found) == len(names) < len(set(labels)):
            first = found[0]
            tag = f"{first['prefix'].upper()}-{first['type']}"
            return (
                f"labels such as {first[0]!r} look like tags of spans, but they are read as plain "
                f"labels; to learn spans, write {tag!r} instead of {first[0]!r}, and 'O' for "
                "words outside spans"
            )
    return ""


def _filled(row: Sequence[str]) -> list[str]:
    """Return the tags of a sentence with O for tokens without a label."""
    return ["O" if tag in _UNLABELLED else tag for tag in row]


def _plan_sets(name: str, sets: Iterable[Sequence[Any]], separator: str | None) -> TaskPlan:
    counts = Counter(str(item) for items in sets for item in items)
    labels: dict[str, Any] = {"column": name, "form": "set"}
    if separator:
        labels["separator"] = separator
    description = f"sets of {count(len(counts), 'label')}"
    return TaskPlan(labels, {"type": "cnn"}, "set_f1", counts, description)


def _separator(counts: Counter[str]) -> str | None:
    """Return the separator of cells with several labels, or None if cells have one label each."""
    for separator in ";|,":
        split = [_items(value, separator) for value in counts]
        together = {item for row in split if len(row) > 1 for item in row}
        alone = {row[0] for row in split if len(row) == 1}
        several = sum(len(row) > 1 for row in split)
        # Cells with several labels repeat the labels of other cells.
        repeated = together <= alone or (several >= 2 and len(together | alone) < len(counts))
        if together and repeated and max(map(len, together)) <= 40:
            return separator
    return None


def _items(value: str, separator: str) -> list[str]:
    return [item for part in value.split(separator) if (item := part.strip())]


def _numeric(values: Iterable[str]) -> bool:
    try:
        return all(math.isfinite(float(value)) for value in set(values))
    except ValueError:
        return False
