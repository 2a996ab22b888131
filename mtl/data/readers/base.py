"""The contract of readers: a file in, records out."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from mtl.errors import DataError

RawValue: TypeAlias = "str | list[Any] | dict[str, float]"
"""The value of a column as a file has it; see `Record`."""


@dataclass(frozen=True, slots=True)
class Record:
    """One sentence as its file has it.

    Args:
        tokens: The words, in order. Empty where the file has a row without text: predictions keep
            such a row in its place, corpora leave it out and say how many there were.
        columns: Column name to its value, which a target reads: a string; a list with an item per
            token, or of any length; an object of label to number. Items are strings, lists of
            strings, such objects, or None. A column without a value for this sentence is absent,
            or an empty string.
        metadata: What comment lines say of the sentence (`# sent_id = …`), or further fields.
        line: The line at which the sentence starts, from 1.
        pair: The words of the sentence with which this one is compared, where files have pairs.
    """

    tokens: list[str]
    columns: Mapping[str, RawValue] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    line: int = 0
    pair: list[str] | None = None


class Reader(ABC):
    """Reads one file format. Options are keyword-only arguments of the constructor.

    They are kept as attributes, since a corpus in the cache is known by its files and by these.
    A reader of pairs of sentences has an option `pair`, null where there are none.
    """

    reads_files: ClassVar[bool] = True
    """Whether `files:` names files; if not, what stands there is left as it is."""

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
