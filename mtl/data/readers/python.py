"""Data that a caller passes as Python objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.jsonl import Jsonl
from mtl.errors import DataError


class Rows(Protocol):
    """The data of one corpus.

    Args:
        label: The column of the second item of rows that are pairs; None: such rows are errors.
    """

    label: str | None

    def rows(self, digest: str) -> Iterator[Any] | None:
        """Return the rows with a digest, made of JSON types; None if they were not passed."""

    def to_json(self) -> Any:
        """Return everything but the rows that records depend on."""


class Python(Reader):
    """Rows that are passed from Python, as in `mtl.train(config, data={"mine": rows})`.

    A row is a dictionary, with fields as for the reader `jsonl`; a pair of an input and its label;
    or a text alone. An input is a text or a list of words. `files:` has digests of the rows.

    Args:
        tokens: Field of the words.
        text: Field of the text, for rows without a field of words.
        pair: Field of the words or text of the second sentence, for sentence pairs.
        tokenize: Whether text is split into words by rule; if not, it is split at blanks.
    """

    version = 1
    reads_files: ClassVar[bool] = False

    def __init__(
        self,
        given: Rows | None = None,
        *,
        tokens: str = "tokens",
        text: str = "text",
        pair: str | None = None,
        tokenize: bool = True,
    ) -> None:
        self.given = given
        self.fields = Jsonl(tokens=tokens, text=text, pair=pair, tokenize=tokenize)

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences of the rows with the digest `path`; `Record.line` is the row, from 1.

        Raises:
            DataError: The rows were not passed, or one of them has no form that is described above.
        """
        rows = self.given.rows(str(path)) if self.given else None
        if rows is None:
            raise DataError("the data was passed from Python; pass it again, with data=", path)
        for number, row in enumerate(rows, 1):
            yield self.fields.record(self._named(row, path, number), path, number)

    def digest(self, path: Path) -> str:
        """Return `path`, which is the digest of the rows."""
        return str(path)

    def _named(self, row: Any, path: Path, line: int) -> Mapping[str, Any]:
        """Return a row as named values."""
        if isinstance(row, dict):
            return row
        if isinstance(row, str):
            return self._input(row)
        if not (isinstance(row, list) and len(row) == 2):
            form = f"a list of {len(row)} items" if isinstance(row, list) else repr(row)
            raise DataError(f"expected a dict, or a pair (text, label), got {form}", path, line)
        label = self.given.label if self.given else None
        if label is None:
            raise DataError(
                "a pair (text, label) needs a corpus with a single column of labels; pass a dict",
                path,
                line,
            )
        return {**self._input(row[0]), label: row[1]}

    def _input(self, value: Any) -> dict[str, Any]:
        """Return the fields of one text or list of words, or of two of them for pairs."""
        if self.fields.pair and isinstance(value, list) and len(value) == 2:
            return {**self._input_of(value[0]), self.fields.pair: value[1]}
        return self._input_of(value)

    def _input_of(self, value: Any) -> dict[str, Any]:
        return {self.fields.text if isinstance(value, str) else self.fields.tokens: value}
