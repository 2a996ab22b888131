"""Files with one label and one text per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.blocks import excerpt
from mtl.errors import DataError, OptionError
from mtl.files import open_text
from mtl.text.tokenizer import words_of


class Lines(Reader):
    """Classification files such as TREC, SST and MR: `label<separator>text`; column `label`.

    Blank lines are skipped.

    Args:
        separator: Text between label and sentence.
        label: Whether the label comes first or last.
        tokenize: Whether the text is split into words by rule; if not, it is split at blanks.
    """

    version = 1

    def __init__(
        self,
        *,
        separator: str = " ",
        label: Literal["first", "last"] = "first",
        tokenize: bool = False,
    ) -> None:
        if not separator:
            raise OptionError("separator", "expected at least one character, got none")
        self.separator = separator
        self.label = label
        self.tokenize = tokenize

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences."""
        with open_text(path) as file:
            for line, row in enumerate(file, 1):
                if not row.strip():
                    continue
                row = row.removesuffix("\n")
                if self.label == "first":
                    label, separator, text = row.partition(self.separator)
                else:
                    text, separator, label = row.rpartition(self.separator)
                if not (separator and label.strip()):
                    expected = "label and text" if self.label == "first" else "text and label"
                    hint = f"expected {expected} with {self.separator!r} between; see `separator:`"
                    raise DataError(f"no label in {excerpt([row])}; {hint}", path, line)
                yield Record(words_of(text, self.tokenize), {"label": label.strip()}, {}, line)
