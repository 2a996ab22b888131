"""Exports of annotation tools as JSON lines with words and tags.

Supported are JSON lines of doccano and Prodigy, JSON of Label Studio, and folders of brat. Spans
are given by character offsets there. Here they become BIO tags of words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from mtl.errors import DataError
from mtl.files import open_text
from mtl.inspection.columns import Unsuitable, plan_sentences
from mtl.text.spans import Span, write_tags
from mtl.text.tokenizer import split_sentences, tokenize

_TEXT_FIELDS = ("text", "data", "content", "sentence")
_SPAN_FIELDS = ("label", "labels", "entities", "spans")
_STUDIO_LABELS = ("choices", "rating", "number")
_WORD_FIELDS = ("tokens", "words")
_TAGS = "ner"


class Annotation(NamedTuple):
    """A labelled range of characters: `text[start:end]`."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Document:
    """A text with its annotations.

    Args:
        text: The text.
        spans: Its spans; None if the export has none for it.
        labels: Name to label, or to a list of labels, of the whole text.
        line: The line of the file, from 1; 0 without lines.
    """

    text: str
    spans: Sequence[Annotation] | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0


@dataclass
class Notes:
    """Counts of annotations that were changed or left out, and of texts that were divided."""

    overlapping: int = 0
    split: int = 0
    rejected: int = 0
    unknown: int = 0
    divided: int = 0

    def lines(self) -> list[str]:
        """Return a line per kind that occurred."""
        texts = (
            ("spans left out because they overlap a longer span", self.overlapping),
            ("spans with a gap, which is now part of the span", self.split),
            ("examples left out because the annotator did not accept them", self.rejected),
            ("results left out; only spans, choices, ratings and numbers are read", self.unknown),
            ("texts divided into sentences, as only their spans have labels", self.divided),
        )
        return [f"note: {text}: {count:,}" for text, count in texts if count]


def read_export(path: Path) -> tuple[str, list[dict[str, Any]], Notes] | None:
    """Read the export of an annotation tool.

    Args:
        path: A file, or a folder of brat.

    Returns:
        The name of the format; one record per sentence, or per text with labels of its own; and
        counts of the annotations that were changed. None for any other file.

    Raises:
        DataError: The export is damaged: invalid JSON, or offsets outside the text.
    """
    notes = Notes()
    if path.is_dir():
        name, documents = "brat", list(_brat(path, notes))
    else:
        with open_text(path) as file:
            start = next((line.strip()[:1] for line in file if line.strip()), "")
        if start not in ("[", "{"):
            return None
        rows = _rows(path, start)
        found = _documents(rows, path, notes)
        if found is None:
            return None
        name, documents = found
    if any(document.spans is not None for document in documents):
        # A text without spans is an example too.
        documents = [replace(document, spans=document.spans or []) for document in documents]
    found_records = [list(_records(d, path, notes)) for d in _with_plain_labels(documents)]
    notes.divided = sum(len(own) > 1 for own in found_records)
    records = [record for own in found_records for record in own]
    if not records:
        raise DataError("the export contains no annotated text", path)
    return name, records, notes


def _rows(path: Path, start: str) -> list[tuple[int, Any]]:
    """Return the line number, or 0, and the value of each row of JSON or JSON lines."""
    with open_text(path) as file:
        if start == "[":
            try:
                values = json.loads("".join(file))
            except (ValueError, RecursionError) as error:
                line = getattr(error, "lineno", 0)
                raise DataError(f"invalid JSON: {error}", path, line) from error
            return [(0, value) for value in values]
        rows = []
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    rows.append((number, json.loads(line)))
                except (ValueError, RecursionError) as error:
                    raise DataError(f"invalid JSON: {error}", path, number) from error
        return rows


def _documents(
    rows: Sequence[tuple[int, Any]], path: Path, notes: Notes
) -> tuple[str, list[Document]] | None:
    for number, row in rows:
        if not isinstance(row, dict):
            raise DataError("expected JSON objects", path, number)
    objects: list[tuple[int, dict[str, Any]]] = list(rows)
    if any(isinstance(row.get("data"), dict) for _, row in objects):
        return "Label Studio", [d for n, row in objects for d in _label_studio(row, n, notes)]
    if any("answer" in row or "_task_hash" in row for _, row in objects):
        accepted = [(n, row) for n, row in objects if row.get("answer", "accept") == "accept"]
        notes.rejected += len(objects) - len(accepted)
        return "Prodigy", [_prodigy(row, n) for n, row in accepted]
    if name := next((f for f in _SPAN_FIELDS if any(_are_spans(r.get(f)) for _, r in objects)), ""):
        fields = _label_fields(objects, name)
        return "doccano", [_doccano(row, n, name, fields, path) for n, row in objects]
    if all(isinstance(row.get("label"), list) and "text" in row for _, row in objects):
        fields = ["label", *_label_fields(objects, "label")]
        return "doccano", [_doccano(row, n, "", fields, path) for n, row in objects]
    if rows and rows[0][0] == 0:  # a JSON array of plain objects
        return "JSON objects", [Document(_text(row), None, _plain(row), n) for n, row in objects]
    return None


def _text(row: Mapping[str, Any]) -> str:
    names = [name for name in _TEXT_FIELDS if isinstance(row.get(name), str)]
    strings = [value for value in row.values() if isinstance(value, str)]
    return str(row[names[0]]) if names else max(strings, key=len, default="")


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    text = _text(row)
    return {name: value for name, value in row.items() if value != text and value is not None}


def _label_fields(objects: Sequence[tuple[int, dict[str, Any]]], spans: str) -> list[str]:
    """Return the fields beside the spans that are labels of whole texts, such as categories."""
    rows = [_plain(row) for _, row in objects]
    names = dict.fromkeys(name for row in rows for name in row)
    fields = []
    for name in names:
        values = [row[name] for row in rows if name in row]
        if name not in ("id", spans, _TAGS, *_WORD_FIELDS) and all(map(_is_label, values)):
            try:
                plan_sentences(name, [v if isinstance(v, list) else str(v) for v in values])
                fields.append(name)
            except Unsuitable:  # identifiers, comments and the like
                continue
    return fields


def _is_label(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, (str, int, float)) for item in items)


def _are_spans(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_span(item) for item in value)


def _span(item: Any) -> Annotation | None:
    """Return a span of doccano or Prodigy, or None for another value."""
    if isinstance(item, list) and len(item) == 3:
        start, end, label = item
    elif isinstance(item, dict):
        start = item.get("start", item.get("start_offset"))
        end = item.get("end", item.get("end_offset"))
        label = item.get("label", item.get("labels"))
        label = label[0] if isinstance(label, list) and label else label
    else:
        return None
    numbers = all(isinstance(n, int) and not isinstance(n, bool) for n in (start, end))
    return Annotation(start, end, label) if numbers and isinstance(label, str) else None


def _doccano(
    row: Mapping[str, Any], line: int, field_name: str, fields: Sequence[str], path: Path
) -> Document:
    labels = {name: row.get(name) for name in fields}
    if field_name:
        words = next((f for f in _WORD_FIELDS if isinstance(row.get(f), list)), "")
        if words and not any(isinstance(row.get(name), str) for name in _TEXT_FIELDS):
            raise DataError(
                f"{field_name!r} has spans of {words!r}, but the record has no text; expected "
                "spans of characters in a field 'text', or instead of spans a list with a tag for "
                "each word, such as B-PER, I-PER and O",
                path,
                line,
            )
        spans = [span for item in row.get(field_name) or [] if (span := _span(item))]
        return Document(_text(row), spans, labels, line)
    return Document(_text(row), None, labels, line)


def _prodigy(row: Mapping[str, Any], line: int) -> Document:
    labels: dict[str, Any] = {}
    if isinstance(row.get("accept"), list):
        labels["label"] = row["accept"]
    elif isinstance(row.get("label"), str):
        labels["label"] = row["label"]
    spans = row.get("spans")
    found = [span for item in spans if (span := _span(item))] if isinstance(spans, list) else None
    return Document(_text(row), found, labels, line)


def _label_studio(row: Mapping[str, Any], line: int, notes: Notes) -> Iterator[Document]:
    text = _text(row["data"])
    annotations = row.get("annotations") or row.get("completions") or []
    kept = [a for a in annotations if not a.get("was_cancelled")]
    if not kept:
        notes.rejected += 1
        return
    spans: list[Annotation] | None = None
    labels: dict[str, Any] = {}
    for result in kept[0].get("result", []):
        value, name = result.get("value", {}), result.get("from_name", "label")
        if "labels" in value:
            spans = [*(spans or [])]
            if found := _span({**value, "label": value["labels"]}):
                spans.append(found)
        elif kind := next((kind for kind in _STUDIO_LABELS if kind in value), None):
            labels[name] = value[kind]
        else:
            notes.unknown += 1
    yield Document(text, spans, labels, line)


def _brat(folder: Path, notes: Notes) -> Iterator[Document]:
    files = sorted(folder.glob("*.ann"))
    if not files:
        raise DataError("no *.ann file in this folder; expected a folder of brat", folder)
    for file in files:
        with open_text(file.with_suffix(".txt")) as opened:
            text = "".join(opened)
        spans, quotes = [], []
        with open_text(file) as opened:
            for number, line in enumerate(opened, 1):
                if line.startswith("T"):
                    parts = line.rstrip("\n").split("\t")
                    spans.append(_brat_span(parts, line, file, number, notes))
                    quotes.append("".join(parts[2:3]).split())
        # The offsets of brat count \r; some other programs write offsets that do not.
        whole = file.with_suffix(".txt").read_bytes().decode("utf-8-sig")
        quoted = all(
            text[span.start : span.end].split() == quote
            for span, quote in zip(spans, quotes, strict=True)
        )
        yield Document(text if quoted else whole, spans)


def _brat_span(
    parts: Sequence[str], line: str, path: Path, number: int, notes: Notes
) -> Annotation:
    try:
        label, offsets = parts[1].split(" ", 1)
        pieces = [tuple(map(int, piece.split(" "))) for piece in offsets.split(";")]
        start, end = pieces[0][0], pieces[-1][1]
    except (IndexError, ValueError) as error:
        message = f"expected T1<tab>LABEL START END<tab>TEXT, got {line.rstrip()[:60]!r}"
        raise DataError(message, path, number) from error
    notes.split += len(pieces) > 1
    return Annotation(start, end, label)


def _records(document: Document, path: Path, notes: Notes) -> Iterator[dict[str, Any]]:
    """Yield the records of a document: one per sentence, or one if the text has labels."""
    text = document.text
    for span in document.spans or []:
        if not 0 <= span.start < span.end <= len(text):
            message = (
                f"span {span.start} to {span.end} is outside the text of {len(text)} characters"
            )
            raise DataError(message, path, document.line)
    labels = document.labels
    if document.spans is None:
        yield {"text": text, **labels}
        return
    spans = _without_overlaps(document.spans, notes)
    # A sentence does not end inside a span.
    ranges = [(0, len(text))] if labels else _merged(split_sentences(text), spans)
    for start, end in ranges:
        words, offsets = _words(text, start, end, spans)
        tags = write_tags(_on_words(spans, offsets), len(words), "bio")
        if words:
            yield {"tokens": words, _TAGS: tags, **labels}


def _with_plain_labels(documents: Sequence[Document]) -> list[Document]:
    """Return the documents with labels in place of lists, where no document has several labels."""
    lists = [(n, v) for d in documents for n, v in d.labels.items() if isinstance(v, list)]
    sets = {name for name, value in lists if len(value) > 1}
    plain = {name for name, _ in lists} - sets
    return [
        replace(d, labels={n: _only(v) if n in plain else v for n, v in d.labels.items()})
        for d in documents
    ]


def _only(value: Any) -> Any:
    """Return the item of a list of one, None for an empty list, and any other value itself."""
    return next(iter(value), None) if isinstance(value, list) else value


def _without_overlaps(spans: Sequence[Annotation], notes: Notes) -> list[Annotation]:
    kept: list[Annotation] = []
    for span in sorted(set(spans), key=lambda s: (s.start - s.end, s.start)):
        if any(span.start < other.end and other.start < span.end for other in kept):
            notes.overlapping += 1
        else:
            kept.append(span)
    return sorted(kept)


def _merged(
    ranges: Sequence[tuple[int, int]], spans: Sequence[Annotation]
) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in ranges:
        if merged and any(span.start < start < span.end for span in spans):
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def _words(
    text: str, start: int, end: int, spans: Sequence[Annotation]
) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the words of a part of a text and their offsets; a span also ends a word."""
    borders = {start, end}
    borders |= {k for span in spans for k in (span.start, span.end) if start < k < end}
    cuts = sorted(borders)
    tokens = [
        (token.text, first + token.start, first + token.end)
        for first, last in pairwise(cuts)
        for token in tokenize(text[first:last])
    ]
    return [word for word, *_ in tokens], [(first, last) for _, first, last in tokens]


def _on_words(spans: Sequence[Annotation], offsets: Sequence[tuple[int, int]]) -> list[Span]:
    found = []
    for span in spans:
        inside = [k for k, (start, end) in enumerate(offsets) if span.start <= start < span.end]
        if inside:
            found.append(Span(span.label, inside[0], inside[-1] + 1))
    return found
