"""Text without labels, in the formats that `mtl predict` reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.conll import Conll
from mtl.data.readers.conllu import Conllu
from mtl.data.readers.csv import Csv, Tsv
from mtl.data.readers.jsonl import Jsonl
from mtl.errors import DataError
from mtl.files import open_text
from mtl.text.tokenizer import split_sentences, words_of

_FORMATS: dict[str, type[Reader]] = {
    ".conll": Conll,
    ".iob2": Conll,
    ".conllu": Conllu,
    ".jsonl": Jsonl,
    ".csv": Csv,
    ".tsv": Tsv,
}
"""Suffix of a file name to its reader; files with other suffixes are raw text."""
_CONLLU_LINE = re.compile(r"\d[\d.-]*(\t[^\t]*){9}\n?")


class Unlabelled(Reader):
    """Raw text, CoNLL, JSONL, CSV and TSV by the suffix of the file; labels are not read.

    Args:
        split: Whether raw text is split into sentences; if not, each line is one text.
        readers: Readers of labelled files. Their columns and fields are read in files of the same
            format.
    """

    version = 1

    def __init__(self, *, split: bool = True, readers: Sequence[Reader] = ()) -> None:
        self.split = split
        self.readers = [*readers]

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences, without labels."""
        kind = _FORMATS.get(Path(path.name.removesuffix(".gz")).suffix)
        records = self._reader(kind, path).read(path) if kind else self._texts(path)
        for record in records:
            if record.pair is not None:
                message = "expected single sentences, got pairs"
                raise DataError(message, path, record.line)
            yield Record(record.tokens, line=record.line, oddity=record.oddity)

    def _reader(self, kind: type[Reader], path: Path) -> Reader:
        own = next((reader for reader in self.readers if type(reader) is kind), None)
        if kind is not Conll:
            return own or kind()
        first = _first_row(path)
        if _CONLLU_LINE.fullmatch(first):
            return Conllu()
        if not isinstance(own, Conll) or len(first.split()) == 1:
            return Conll(columns={"tokens": 0})
        # The file need not have the columns of the labels.
        words = {"tokens": own.columns["tokens"]}
        return Conll(columns=words, separator=own.separator, comments=own.comments)

    def _texts(self, path: Path) -> Iterator[Record]:
        with open_text(path) as file:
            for line, text in enumerate(file, 1):
                parts = split_sentences(text) if self.split else [(0, len(text))]
                for start, end in parts:
                    if words := words_of(text[start:end], True):
                        yield Record(words, line=line)


def _first_row(path: Path) -> str:
    """Return the first line with a word."""
    with open_text(path) as file:
        rows = (line for line in file if line.strip())
        return next((row for row in rows if not row.startswith(("#", "-DOCSTART-"))), "")
