"""One JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mtl.data.readers.base import Reader, Record
from mtl.errors import DataError, did_you_mean
from mtl.files import open_text
from mtl.text.tokenizer import words_of

_LABEL_TYPES = (str, bool, int, float)


class Jsonl(Reader):
    """JSON lines: an object a sentence, with its words or its text, and any labels.

    A list of values (one a word, or a set), a string, a number, true or false are columns. Null
    means no label, and values of another form are passed over, unless `columns` asks for them.

    Args:
        tokens: The field that holds the words.
        text: The field that holds the text, where there is none with words.
        pair: The field with the words or the text of the sentence with which it is compared, where
            there are pairs.
        tokenize: Whether text is cut into words by rule; if not, at blanks.
        columns: The fields to take, by default all.
    """

    version = 1

    def __init__(
        self,
        *,
        tokens: str = "tokens",
        text: str = "text",
        pair: str | None = None,
        tokenize: bool = True,
        columns: list[str] | None = None,
    ) -> None:
        self.tokens = tokens
        self.text = text
        self.pair = pair
        self.tokenize = tokenize
        self.columns = columns

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences."""
        with open_text(path) as file:
            for line, text in enumerate(file, 1):
                if text.strip():
                    yield self.record(_parse(text, path, line), path, line)

    def record(self, fields: Mapping[str, Any], path: Path, line: int) -> Record:
        """Return the sentence that a row of named values holds.

        Args:
            fields: Field name to value.
            path: Where the row comes from, for messages.
            line: Its number there, from 1.

        Raises:
            DataError: Neither words nor text, or a column that holds no values.
        """
        tokens = self._words(fields, path, line)
        pair = self._pair(fields, self.pair, path, line) if self.pair else None
        names = fields if self.columns is None else self.columns
        columns: dict[str, list[str] | str] = {}
        for name in names:
            if name in (self.tokens, self.text, self.pair) or fields.get(name) is None:
                continue
            value = _labels(fields[name])
            if value is None and self.columns is not None:
                found = f"field {name!r} holds {_brief(fields[name])}"
                expected = "expected one value, or a list of values"
                raise DataError(f"{found}; {expected}", path, line)
            if value is not None:
                columns[name] = value
        return Record(tokens, columns, {}, line, pair)

    def _words(self, fields: Mapping[str, Any], path: Path, line: int) -> list[str]:
        tokens, text = fields.get(self.tokens), fields.get(self.text)
        if isinstance(tokens, list) and all(isinstance(t, str) and t for t in tokens):
            return tokens
        if tokens is not None:
            found = f"field {self.tokens!r} holds {_brief(tokens)}"
            raise DataError(f"{found}; expected a list of words", path, line)
        if isinstance(text, str):
            return words_of(text, self.tokenize)
        if text is not None:
            found = f"field {self.text!r} holds {_brief(text)}"
            raise DataError(f"{found}; expected a string", path, line)
        found = f"expected a field {self.tokens!r} (words) or {self.text!r} (text)"
        raise DataError(f"{found}{did_you_mean(self.tokens, fields)}", path, line)

    def _pair(self, fields: Mapping[str, Any], name: str, path: Path, line: int) -> list[str]:
        """Return the words of the second sentence."""
        value = fields.get(name)
        if isinstance(value, list) and all(isinstance(t, str) and t for t in value):
            return value
        if isinstance(value, str):
            return words_of(value, self.tokenize)
        if value is None:
            found = f"expected a field {name!r} with words or text{did_you_mean(name, fields)}"
            raise DataError(found, path, line)
        found = f"field {name!r} holds {_brief(value)}; expected words or text"
        raise DataError(found, path, line)


def _parse(text: str, path: Path, line: int) -> dict[str, Any]:
    try:
        fields = json.loads(text)
        if "\\ud" in text.lower():  # half a character, as \ud83d alone, is no text
            json.dumps(fields, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected a JSON object on each line: {error}", path, line) from error
    if not isinstance(fields, dict):
        raise DataError(f"expected a JSON object, found {_brief(fields)}", path, line)
    return fields


def _labels(value: Any) -> list[str] | str | None:
    """Return labels as strings, or None if the value is neither a label nor a list of labels."""
    if isinstance(value, list):
        fits = all(isinstance(item, _LABEL_TYPES) for item in value)
        return [_label(item) for item in value] if fits else None
    return _label(value) if isinstance(value, _LABEL_TYPES) else None


def _label(value: str | float) -> str:
    """Return a label, spelt as in JSON where it is no string: 3, 0.5, true."""
    return value if isinstance(value, str) else json.dumps(value)


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 50 else f"{text[:47]}…"
