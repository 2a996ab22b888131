"""The contract of readers: a reader turns a file into records."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from mtl.data.readers.parts import FilePart
from mtl.files import open_bytes
from mtl.options import Checked
from mtl.text.tokenizer import Cut

RawValue: TypeAlias = "str | list[Any] | dict[str, Any]"
"""The value of a column as a file has it; see `Record`."""


@dataclass(frozen=True, slots=True)
class Record:
    """One sentence, as the file contains it.

    Args:
        tokens: The words, in order; empty for a row without text. Predictions keep such a row in
            its place; corpora skip it and report the number of skipped rows.
        columns: Column name to its value, which a target reads: a string; a list with one item per
            token, or of any length; or an object of label to number. Items are strings, lists of
            strings, such objects, or None. A missing value is absent or an empty string.
        metadata: Values from comment lines (`# sent_id = …`), or further fields.
        line: The line at which the sentence starts, from 1.
        pair: The words of the second sentence, for sentence pairs.
        oddity: A harmless oddity of the sentence, such as "a row with further columns"; empty if
            there is none. Corpora report each with the number of sentences and the first place.
    """

    tokens: list[str]
    columns: Mapping[str, RawValue] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    line: int = 0
    pair: list[str] | None = None
    oddity: str = ""

    @property
    def empty(self) -> bool:
        """Whether the sentence, or one of a pair, has no words."""
        return not self.tokens or self.pair == []


class Reader(Checked, ABC):
    """Reads one file format. Options are keyword-only arguments of the constructor.

    Store every option as an attribute: the key of a corpus in the cache depends on the files and
    on these attributes.
    """

    reads_files: ClassVar[bool] = True
    """Whether `files:` names files; if not, its entries are left as they are."""
    reads_sentences: ClassVar[bool] = False
    """Whether the format defines a record as one sentence. Other records may be longer texts."""
    version: ClassVar[int | None] = None
    """Increase it when the reader returns other records for the same file, so that corpora are
    read again. None: corpora are read again whenever the source file of the class changes. It is
    not inherited."""

    @classmethod
    def pairs(cls, options: Mapping[str, Any]) -> bool:
        """Return whether records are pairs of sentences: by default, if `pair` is set."""
        return options.get("pair") is not None

    @classmethod
    def cut(cls, options: Mapping[str, Any]) -> Cut:
        """Return the way to cut text: by default the option `tokenize`, or by rule without it."""
        tokenize: Cut = options.get("tokenize", True)
        return tokenize

    @classmethod
    def unit(cls, options: Mapping[str, Any]) -> Literal["words", "characters", "subwords"]:
        """Return the kind of token.

        A reader of subwords takes the learned `Subwords` as its only positional argument.
        """
        cut = cls.cut(options)
        return "words" if isinstance(cut, bool) else cut

    @classmethod
    def learns_subwords(cls, options: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return the number of subwords to learn, and the options that read whole words instead.

        By default they follow from `subwords` and `tokenize`. Called if `unit` is "subwords".
        """
        return options["subwords"], {**options, "tokenize": False}

    @abstractmethod
    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences of a file (plain or `.gz`) in order, one at a time.

        Raises:
            DataError: The file is malformed; the error names the file, the line and a remedy.
        """

    def ends(self) -> re.Pattern[bytes] | None:
        """Return the text after which a file may be divided into parts, for `read_part`.

        Large files are then read by several processes. None: files are not divided. A subclass
        that defines `read` is never asked.
        """
        return None

    def read_part(self, path: Path, part: FilePart | None) -> Iterator[Record]:
        """Yield the sentences of a part of a file; None is the whole file.

        All parts together give the sentences of `read`. Needed if `ends` is not None.

        Raises:
            DataError: As in `read`.
        """
        raise NotImplementedError

    def document_starts(self, path: Path) -> list[int]:
        """Return the lines at which documents begin; empty if the file does not mark documents.

        Raises:
            DataError: As in `read`.
        """
        return []

    def digest(self, path: Path) -> str:
        """Return a fingerprint of the content of `path`; by default, a hash of its bytes.

        Raises:
            DataError: The file does not exist, is not an ordinary file, or cannot be read.
        """
        with open_bytes(path) as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
