"""The places of labels in the text of a file, by format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from mtl.analysis.audit.issues import Change, Issue
from mtl.analysis.corrections.values import new_items, new_value
from mtl.config.corpus import SourceConfig
from mtl.data.readers import Conll, Conllu, Csv, Jsonl, Lines
from mtl.data.readers.base import Reader
from mtl.data.readers.conllu import COLUMNS
from mtl.data.readers.offsets import OffsetSpans


class Cell(NamedTuple):
    """The text of a value in a file.

    Args:
        start: Its first character.
        end: The character after the last one.
        write: Receives the text at this place and a change; returns the new text.
    """

    start: int
    end: int
    write: Callable[[str, Change], str]


class FileText:
    """The text of a file and the starts of its lines."""

    def __init__(self, content: str) -> None:
        self.content = content
        # A byte order mark is not a part of the first line.
        first = int(content.startswith("\ufeff"))
        self.starts = [first, *(match.end() for match in re.finditer("\n", content))]

    def line(self, number: int) -> tuple[int, str]:
        """Return the start of a line, numbered from 1, and the line without its end.

        Raises:
            ValueError: The file has fewer lines.
        """
        if not 1 <= number <= len(self.starts):
            raise ValueError(f"the file has no line {number}")
        start = self.starts[number - 1]
        end = self.content.find("\n", start)
        line = self.content[start : end if end >= 0 else len(self.content)]
        return start, line.removesuffix("\r")

    def lines(self) -> Iterator[str]:
        """Yield all lines."""
        return (self.line(number + 1)[1] for number in range(len(self.starts)))


Locate: TypeAlias = Callable[[Issue, Change], Cell]
"""Returns the cell of a change; raises ValueError if there is none."""


def locator(reader: Reader, text: FileText, source: SourceConfig) -> Locate:
    """Return the function that finds the labels of a source in a file.

    Raises:
        ValueError: Files of the reader cannot be changed.
    """
    if isinstance(reader, Conll | Conllu):
        return _Columns(reader, text, source)
    if isinstance(reader, Csv):
        return _Table(reader, text, source)
    if isinstance(reader, Jsonl):
        return _Objects(reader, text, source)
    if isinstance(reader, Lines):
        return _LabelledLines(reader, text, source)
    name = type(reader).__name__.lower()
    raise ValueError(f"files of the reader {name!r} cannot be corrected; correct them by hand")


def _stripped(start: int, value: str) -> tuple[int, int]:
    """Return the range of a value without the blanks around it."""
    left = len(value) - len(value.lstrip())
    return start + left, start + max(left, len(value.rstrip()))


def _plain(source: SourceConfig, forbidden: str) -> Callable[[str, Change], str]:
    """Return a function for text cells in which some characters have a meaning."""

    def write(value: str, change: Change) -> str:
        result = new_value(value, change, source)
        if re.search(forbidden, result):
            raise ValueError(f"the format cannot contain the label {result!r}")
        return result

    return write


class _Columns:
    """One word per line."""

    def __init__(self, reader: Conll | Conllu, text: FileText, source: SourceConfig) -> None:
        self._text, self._source = text, source
        self._words_by_id = isinstance(reader, Conllu)
        self._columns = COLUMNS if isinstance(reader, Conllu) else reader.columns
        self._separator: str | None = "\t"
        if isinstance(reader, Conll):
            self._separator = reader.column_separator(text.lines())
        separator = r"\s" if self._separator is None else f"\n|{re.escape(self._separator)}"
        self._write = _plain(source, separator)

    def __call__(self, issue: Issue, change: Change) -> Cell:
        if self._source.kind == "metadata":
            return self._comment(issue)
        if change.token is None:
            raise ValueError("expected the index of a word")
        column = {"feature": "feats", "misc": "misc"}.get(self._source.kind, self._source.key)
        start, line = self._word(issue, change.token)
        cells = list(self._cells(start, line))
        index = self._columns[column]
        if not -len(cells) <= index < len(cells):
            raise ValueError(f"the line has no column {column!r}")
        first, last = cells[index]
        first, last = _stripped(first, self._text.content[first:last])
        return Cell(first, last, self._write)

    def _word(self, issue: Issue, token: int) -> tuple[int, str]:
        if not self._words_by_id:
            return self._text.line(issue.line + token)
        number = issue.line
        while True:
            start, line = self._text.line(number)
            if not line.strip():
                raise ValueError(f"the sentence has no word {token + 1}")
            if line.split("\t")[0] == str(token + 1):
                return start, line
            number += 1

    def _cells(self, start: int, line: str) -> Iterator[tuple[int, int]]:
        line = line.rstrip(" \t")
        if self._separator is None:
            for match in re.finditer(r"[^ \t]+", line):
                yield start + match.start(), start + match.end()
            return
        for cell in line.split(self._separator):
            yield start, start + len(cell)
            start += len(cell) + len(self._separator)

    def _comment(self, issue: Issue) -> Cell:
        number = issue.line - 1
        found = None
        while number and (place := self._text.line(number))[1].startswith("#"):
            start, line = place
            match = re.fullmatch(r"(# *([^=]+?) *=\s*)(.*)", line)
            # The last of two equal keys counts, and this search runs upwards.
            if match and match[2] == self._source.key and found is None:
                found = _stripped(start + match.end(1), match[3])
            number -= 1
        if found is None:
            raise ValueError(f"the sentence has no comment {self._source.key!r}")
        return Cell(*found, _plain(self._source, "\n"))


class _Table:
    """One row per sentence."""

    def __init__(self, reader: Csv, text: FileText, source: SourceConfig) -> None:
        self._reader, self._text, self._source = reader, text, source
        if reader.columns is not None:
            self._index = reader.columns[source.key]
        else:
            header = next(number for number, line in enumerate(text.lines(), 1) if line)
            start, _ = text.line(header)
            names = [self._value(*cell).strip() for cell in self._row(start)]
            if source.key not in names:
                raise ValueError(f"the table has no column {source.key!r}")
            self._index = names.index(source.key)

    def __call__(self, issue: Issue, change: Change) -> Cell:
        start, _ = self._text.line(issue.line)
        cells = list(self._row(start))
        if not -len(cells) <= self._index < len(cells):
            raise ValueError(f"the row has no column {self._source.key!r}")
        first, last = cells[self._index]
        if self._text.content[first:last].startswith('"') and self._reader.quotes:
            first, last = _stripped(first + 1, self._text.content[first + 1 : last - 1])
            return Cell(first, last, self._quoted)
        first, last = _stripped(first, self._text.content[first:last])
        return Cell(first, last, self._bare)

    def _row(self, place: int) -> Iterator[tuple[int, int]]:
        """Yield the start and the end of each cell of a row, with quotes."""
        content, separator = self._text.content, self._reader.separator
        plain = re.compile(f"[^{re.escape(separator)}\r\n]*")
        quoted = re.compile('"(?:[^"]|"")*"')
        while True:
            pattern = quoted if self._reader.quotes and content[place : place + 1] == '"' else plain
            match = pattern.match(content, place)
            assert match, "the reader has read the row"
            yield match.start(), match.end()
            place = match.end()
            if content[place : place + 1] != separator:
                return
            place += 1

    def _value(self, first: int, last: int) -> str:
        cell = self._text.content[first:last]
        quoted = self._reader.quotes and cell.startswith('"')
        return cell[1:-1].replace('""', '"') if quoted else cell

    def _quoted(self, value: str, change: Change) -> str:
        new = new_value(value.replace('""', '"'), change, self._source)
        return new.replace('"', '""')

    def _bare(self, value: str, change: Change) -> str:
        new = new_value(value, change, self._source)
        if not re.search(f'["\r\n{re.escape(self._reader.separator)}]', new):
            return new
        if not self._reader.quotes:
            raise ValueError(f"the format cannot contain the label {new!r}")
        return '"' + new.replace('"', '""') + '"'


class _LabelledLines:
    """One label and one text per line."""

    def __init__(self, reader: Lines, text: FileText, source: SourceConfig) -> None:
        self._reader, self._text = reader, text
        self._write = _plain(source, f"\n|{re.escape(reader.separator)}")

    def __call__(self, issue: Issue, change: Change) -> Cell:
        start, line = self._text.line(issue.line)
        if self._reader.label == "first":
            label = line.partition(self._reader.separator)[0]
        else:
            label = line.rpartition(self._reader.separator)[2]
            start += len(line) - len(label)
        return Cell(*_stripped(start, label), self._write)


class _Objects:
    """One JSON object per line."""

    def __init__(self, reader: Jsonl, text: FileText, source: SourceConfig) -> None:
        self._text, self._source = text, source

    def __call__(self, issue: Issue, change: Change) -> Cell:
        start, line = self._text.line(issue.line)
        places = [place for name, place in _members(line) if name == self._source.key]
        if not places:
            raise ValueError(f"the object has no field {self._source.key!r}")
        first, last = places[-1]  # of equal names, the last one counts
        value = json.loads(line[first:last])
        if OffsetSpans.fits(value) and value:
            raise ValueError(
                "spans by character offsets cannot be corrected here; correct them in the tool "
                "that wrote them"
            )
        if change.token is not None:
            items = list(_items(line, first)) if isinstance(value, list) else []
            if change.token >= len(items):
                raise ValueError(f"{self._source.key!r} has no item {change.token}")
            first, last = items[change.token]
        # A line without other characters than ASCII may be read as ASCII, so it stays like that.
        return Cell(start + first, start + last, partial(self._write, line.isascii()))

    def _write(self, ascii_only: bool, raw: str, change: Change) -> str:
        value = json.loads(raw)
        if isinstance(value, list):
            old = [_label(item) for item in value]
            new = [_like(value[0] if value else "", item) for item in new_items(old, change)]
            return json.dumps(new, ensure_ascii=ascii_only)
        text = _label(value)
        stripped = text.strip()
        result = text.replace(stripped, new_value(stripped, change, self._source), 1)
        return json.dumps(_like(value, result), ensure_ascii=ascii_only)


def _label(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _like(value: Any, label: str) -> Any:
    """Return a label as a JSON value of the same type as another one, if it can be one."""
    if isinstance(value, str):
        return label
    try:
        found = json.loads(label)
    except ValueError:
        return label
    same = type(found) is type(value) or {type(found), type(value)} <= {int, float}
    return found if same else label


_BLANKS = re.compile(r"[ \t\n\r]*")


def _after_blanks(text: str, place: int) -> int:
    match = _BLANKS.match(text, place)
    return match.end() if match else place


def _members(line: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the names of a JSON object, each with the start and the end of its value."""
    decoder = json.JSONDecoder()
    place = _after_blanks(line, line.index("{") + 1)
    while line[place] != "}":
        name, place = decoder.raw_decode(line, place)
        place = _after_blanks(line, _after_blanks(line, place) + 1)  # a colon
        _, end = decoder.raw_decode(line, place)
        yield name, (place, end)
        place = _next(line, end)


def _items(line: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each item of the JSON list that starts at `start`."""
    decoder = json.JSONDecoder()
    place = _after_blanks(line, start + 1)
    while line[place] != "]":
        _, end = decoder.raw_decode(line, place)
        yield place, end
        place = _next(line, end)


def _next(line: str, end: int) -> int:
    """Return the place after a comma, or of the bracket that closes the object or list."""
    place = _after_blanks(line, end)
    return _after_blanks(line, place + 1) if line[place] == "," else place
