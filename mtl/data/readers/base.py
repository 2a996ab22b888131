"""The contract of readers: a file in, records out."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from mtl.errors import DataError
from mtl.options import Checked
from mtl.text.tokenizer import Cut


@dataclass(frozen=True, slots=True)
class Record:
    """One sentence as its file has it.

    Args:
        tokens: The words, in order. Empty where the file has a row without text: predictions keep
            such a row in its place, corpora leave it out and say how many there were.
        columns: Column name to one label a token (a list as long as `tokens`), to one for the whole
            sentence (a string), or to a set of them (a list of any length). A column without a
            value for this sentence is absent, or an empty string.
        metadata: What comment lines say of the sentence (`# sent_id = …`), or further fields.
        line: The line at which the sentence starts, from 1.
        pair: The words of the sentence with which this one is compared, where files have pairs.
    """

    tokens: list[str]
    columns: Mapping[str, list[str] | str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    line: int = 0
    pair: list[str] | None = None


class Reader(Checked, ABC):
    """Reads one file format. Options are keyword-only arguments of the constructor.

    The constructor must keep them as attributes: the cache of read corpora depends on them.
    """

    reads_files: ClassVar[bool] = True
    """Whether `files:` names files; if not, its entries are left as they are."""
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
        """Yield the sentences of a file (`.gz` unpacked), in order, without holding them all.

        Raises:
            DataError: With file and line, what was expected and what to do.
        """

    def digest(self, path: Path) -> str:
        """Return what changes when the content of `path` does: by default, a hash of its bytes.

        Raises:
            DataError: There is no such file, or it cannot be read.
        """
        try:
            with open(path, "rb") as file:
                return hashlib.file_digest(file, "blake2b").hexdigest()
        except FileNotFoundError as error:
            raise DataError("there is no such file", path) from error
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", path) from error
