"""The contract of vocabularies. Number 0 pads, number 1 is the unknown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

PAD, UNKNOWN = 0, 1
SPECIAL = ("<pad>", "<unk>")


class Vocabulary(ABC):
    """Numbers one feature of words.

    `build` has the options that a user writes in YAML as keyword-only arguments.
    """

    feature: ClassVar[str]
    """The name of the feature in a batch."""
    width: int | None
    """How many numbers a word has: 1, a fixed number, or None when it varies."""

    @classmethod
    @abstractmethod
    def build(cls, counts: Mapping[str, int], known: Self | None = None) -> Self:
        """Make the vocabulary of a corpus.

        Args:
            counts: Word to how often it occurs in the training text, and there alone.
            known: The vocabulary of the run that this one starts from: what it has stays known,
                and comes first, in its order.
        """

    @abstractmethod
    def encode(self, word: str) -> Sequence[int]:
        """Return the numbers of a word."""

    @abstractmethod
    def tables(self) -> list[Sequence[str]]:
        """Return the strings by number, for each table of embeddings that the numbers index."""

    def sizes(self) -> list[int]:
        """Return how many numbers there are, for each table."""
        return [len(strings) for strings in self.tables()]

    @abstractmethod
    def to_json(self) -> Any:
        """Return what `from_json` needs, made of JSON types."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from what `to_json` gave."""


class Numbering:
    """Strings by number, the special ones first."""

    def __init__(self, strings: Iterable[str]) -> None:
        self.strings = [*SPECIAL, *strings]
        # A word of the text that is spelt like a special string is no such thing.
        self.index = {string: n for n, string in enumerate(self.strings) if n >= len(SPECIAL)}

    def __len__(self) -> int:
        return len(self.strings)

    def __getitem__(self, string: str) -> int:
        return self.index.get(string, UNKNOWN)


def united(known: Iterable[str], strings: Iterable[str]) -> list[str]:
    """Return the known strings, then the new ones among the others, each once."""
    return list(dict.fromkeys([*known, *strings]))


def frequent(counts: Mapping[str, int], min_count: int) -> list[str]:
    """Return the strings that occur often enough, the most frequent first, ties by alphabet."""
    kept = [string for string, count in counts.items() if count >= min_count]
    return sorted(kept, key=lambda string: (-counts[string], string))
