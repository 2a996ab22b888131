"""Files with one label and one text per line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.blocks import excerpt, first_look
from mtl.data.readers.parts import LINE, FilePart, open_lines
from mtl.errors import DataError, OptionError
from mtl.text.tokenizer import WordCut, words_of

_PREFIX = "__label__"
"""The start of each label in the files of fastText."""


class Lines(Reader):
    """Classification files such as TREC, SST and MR: `label<separator>text`; column `label`.

    Blank lines are skipped. Each line has one label, also in the form `__label__NAME` of fastText.

    Args:
        separator: Text between label and sentence.
        label: Whether the label comes first or last.
        tokenize: Unit of the tokens: true for words by rule, false for words at blanks, or the
            characters of the words, for classifiers of whole texts.
    """

    version = 2

    def __init__(
        self,
        *,
        separator: str = " ",
        label: Literal["first", "last"] = "first",
        tokenize: WordCut = False,
    ) -> None:
        if not separator:
            raise OptionError("separator", "expected at least one character, got none")
        self.separator = separator
        self.label = label
        self.tokenize = tokenize

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences."""
        return self.read_part(path, None)

    def ends(self) -> re.Pattern[bytes]:
        """Return the ends of lines."""
        return LINE

    def read_part(self, path: Path, part: FilePart | None) -> Iterator[Record]:
        """Yield the sentences of a part of a file."""
        with open_lines(path, part) as file:
            lines, oddity = first_look(file)
            for line, row in lines:
                if not row.strip():
                    continue
                row = row.removesuffix("\n")
                if self.label == "first":
                    label, separator, text = row.partition(self.separator)
                else:
                    text, separator, label = row.rpartition(self.separator)
                label = label.strip()
                if not (separator and label):
                    expected = "label and text" if self.label == "first" else "text and label"
                    hint = f"expected {expected} with {self.separator!r} between; see `separator:`"
                    raise DataError(f"no label in {excerpt([row])}; {hint}", path, line)
                if problem := self._problem(label, text):
                    raise DataError(f"{problem}: {excerpt([row])}", path, line)
                words = words_of(text, self.tokenize)
                yield Record(words, {"label": label}, {}, line, oddity=oddity)
                oddity = ""

    def _problem(self, label: str, text: str) -> str | None:
        """Return the reason why this is not one label and its text, or None."""
        if "\t" in label:
            return 'the label has a tab inside; set `separator: "\\t"`'
        if _PREFIX in text:
            return (
                f"several labels with {_PREFIX} in one line; this reader reads one label per line, "
                "and `jsonl` reads lists of labels for `form: set`"
            )
        return None
