"""The contract of readers: a file in, records out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """One sentence as its file has it.

    Args:
        tokens: The words, in order; never empty.
        columns: Column name to one label a token (a list as long as `tokens`) or one for the whole
            sentence (a string). A column without a value for this sentence is absent.
        metadata: What comment lines say of the sentence (`# sent_id = …`), or further fields.
        line: The line at which the sentence starts, from 1.
    """

    tokens: list[str]
    columns: Mapping[str, list[str] | str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    line: int = 0


class Reader(ABC):
    """Reads one file format. Options are keyword-only arguments of the constructor."""

    @abstractmethod
    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences of a file (`.gz` unpacked), in order, without holding them all.

        Raises:
            DataError: With file and line, what was expected and what to do.
        """
