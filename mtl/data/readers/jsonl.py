"""JSON lines: one JSON object per line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mtl.data.readers.base import RawValue, Reader, Record
from mtl.data.readers.offsets import OffsetSpans
from mtl.data.readers.parts import LINE, FilePart, open_lines
from mtl.errors import DataError, did_you_mean, shorten
from mtl.text.running import characters
from mtl.text.tokenizer import WordCut, words_of

_LABEL_TYPES = (str, bool, int, float)
_REFUSED = ("reject", "ignore")
"""The values of `answer` in Prodigy for spans that do not count."""


class Jsonl(Reader):
    """JSON lines: one object per sentence, with its words or its text, and any labels.

    A string, a number, true or false, a list of values, or an object of label to number are
    columns. The items of a list may be lists or such objects in turn, for tokens with several
    labels. Null means no label.

    Spans by character offsets become the tags of a task with a `scheme`. They are written as by
    doccano, `[[0, 4, "PER"], …]`, by Prodigy, `[{"start": 0, "end": 4, "label": "PER"}, …]`, or by
    Label Studio, with a list `labels` of one item. The words of a row may be objects with a field
    `text`, as Prodigy writes them.

    Args:
        tokens: Field of the words.
        text: Field of the text, for rows without a field of words.
        pair: Field of the words or text of the second sentence, for sentence pairs.
        tokenize: Unit of the tokens: true for words by rule, false for words at blanks, or the
            characters of the words, for classifiers of whole texts.
        columns: The fields to read as columns; by default all.
    """

    version = 2

    def __init__(
        self,
        *,
        tokens: str = "tokens",
        text: str = "text",
        pair: str | None = None,
        tokenize: WordCut = True,
        columns: list[str] | None = None,
    ) -> None:
        self.tokens = tokens
        self.text = text
        self.pair = pair
        self.tokenize = tokenize
        self.columns = columns

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences."""
        return self.read_part(path, None)

    def ends(self) -> re.Pattern[bytes]:
        """Return the ends of lines."""
        return LINE

    def read_part(self, path: Path, part: FilePart | None) -> Iterator[Record]:
        """Yield the sentences of a part of a file."""
        with open_lines(path, part) as lines:
            for line, text in lines:
                if text.strip():
                    yield self.record(_parse(text, path, line), path, line)

    def record(self, fields: Mapping[str, Any], path: Path, line: int) -> Record:
        """Make the record of one row of named values.

        Args:
            fields: Field name to value.
            path: The file of the row, for error messages.
            line: The line number of the row, from 1.

        Raises:
            DataError: The row has neither words nor text, or a field of `columns` has a value that
                is not a label.
        """
        tokens = self._words(fields, path, line)
        pair = self._pair(fields, self.pair, path, line) if self.pair else None
        names = fields if self.columns is None else self.columns
        columns: dict[str, RawValue] = {}
        oddity = ""
        for name in names:
            raw = fields.get(name)
            if name in (self.tokens, self.text, self.pair) or raw is None:
                continue
            value = self._value(raw, fields)
            if value is None and self.columns is not None:
                message = f"field {name!r} contains {_brief(raw)}"
                expected = "expected a value, a list of values, or an object of label to number"
                raise DataError(f"{message}; {expected}", path, line)
            if isinstance(value, OffsetSpans) and fields.get("answer") in _REFUSED:
                oddity = "rejected or ignored in Prodigy, and read without spans"
            else:
                # A value of another form is an error only for a task that reads it.
                columns[name] = raw if value is None else value
        return Record(tokens, columns, {}, line, pair, oddity)

    def _value(self, value: Any, fields: Mapping[str, Any]) -> RawValue | None:
        """Return the value of a field, or None if no target reads its form."""
        text = fields.get(self.text)
        if isinstance(text, str) and OffsetSpans.fits(value):
            return OffsetSpans(value, text)
        return _value(value)

    def _words(self, fields: Mapping[str, Any], path: Path, line: int) -> list[str]:
        # Given words win over text, since token labels belong to these words.
        tokens, text = fields.get(self.tokens), fields.get(self.text)
        if isinstance(tokens, list) and all(isinstance(t, str) and t for t in tokens):
            return self._units(tokens)
        if isinstance(tokens, list) and (words := _texts(tokens)):
            return self._units(words)
        if tokens is not None:
            message = f"field {self.tokens!r} contains {_brief(tokens)}"
            raise DataError(f"{message}; expected a list of words", path, line)
        if isinstance(text, str):
            return words_of(text, self.tokenize)
        if text is not None:
            message = f"field {self.text!r} contains {_brief(text)}"
            raise DataError(f"{message}; expected a string", path, line)
        message = f"expected a field {self.tokens!r} (words) or {self.text!r} (text)"
        raise DataError(f"{message}{did_you_mean(self.tokens, fields)}", path, line)

    def _units(self, words: list[str]) -> list[str]:
        """Return given words, or their characters."""
        return characters(" ".join(words)) if self.tokenize == "characters" else words

    def _pair(self, fields: Mapping[str, Any], name: str, path: Path, line: int) -> list[str]:
        """Return the words of the second sentence."""
        value = fields.get(name)
        if isinstance(value, list) and all(isinstance(t, str) and t for t in value):
            return self._units(value)
        if isinstance(value, str):
            return words_of(value, self.tokenize)
        if value is None:
            message = f"expected a field {name!r} with words or text{did_you_mean(name, fields)}"
            raise DataError(message, path, line)
        message = f"field {name!r} contains {_brief(value)}; expected words or text"
        raise DataError(message, path, line)


def _parse(text: str, path: Path, line: int) -> dict[str, Any]:
    try:
        fields = json.loads(text)
        # JSON can escape an incomplete character (a lone \ud83d), which UTF-8 cannot store.
        if "\\ud" in text.lower():
            json.dumps(fields, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected a JSON object on each line: {error}", path, line) from error
    if not isinstance(fields, dict):
        advice = "; write one object per line" * isinstance(fields, list)
        raise DataError(f"expected a JSON object, found {_brief(fields)}{advice}", path, line)
    return fields


def _texts(tokens: list[Any]) -> list[str] | None:
    """Return the words of tokens as Prodigy writes them: `{"text": "Ann", "start": 0, …}`."""
    words = [token.get("text") if isinstance(token, dict) else None for token in tokens]
    return words if all(isinstance(word, str) and word for word in words) else None  # type: ignore[return-value]


def _value(value: Any) -> RawValue | None:
    """Return a value with labels as strings, or None if it has no form that a target reads."""
    if not isinstance(value, list):
        return _item(value)
    items = [_items(item) if isinstance(item, list) else _item(item) for item in value]
    readable = all(item is not None or raw is None for item, raw in zip(items, value, strict=True))
    return items if readable else None


def _items(values: list[Any]) -> list[str] | None:
    """Return the labels of one token."""
    fits = all(isinstance(value, _LABEL_TYPES) for value in values)
    return [_label(value) for value in values] if fits else None


def _item(value: Any) -> str | dict[str, Any] | None:
    """Return one label, or the object of one token or sentence."""
    # The target checks the values of an object, so that none is lost without a word.
    if isinstance(value, dict):
        return value
    return _label(value) if isinstance(value, _LABEL_TYPES) else None


def _label(value: str | float) -> str:
    """Return a label as a string; other types are written as in JSON: 3, 0.5, true."""
    return value if isinstance(value, str) else json.dumps(value)


def _brief(value: Any) -> str:
    return shorten(json.dumps(value, ensure_ascii=False, default=repr), 50)
