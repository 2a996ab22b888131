"""The contract of vocabularies. Id 0 is padding, id 1 is the unknown string."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

PAD, UNKNOWN = 0, 1
SPECIAL = ("<pad>", "<unk>")


class Vocabulary(ABC):
    """Maps words to the ids of one feature.

    The keyword-only arguments of `build` are the options that a user writes in YAML.
    """

    feature: ClassVar[str]
    """The name of the feature in a batch."""
    width: int | None
    """Number of ids per word, or None if it varies."""
    json_type: ClassVar[Any] = Any
    """Type of the saved form. Files are checked against it before `from_json` reads them."""

    @classmethod
    @abstractmethod
    def build(cls, counts: Mapping[str, int], known: Self | None = None) -> Self:
        """Make the vocabulary of a corpus.

        Args:
            counts: Number of occurrences of each word in the training text (not in dev or test).
            known: The vocabulary of the run that this run starts from. Its strings keep their
                ids, and new strings follow.
        """

    @abstractmethod
    def encode(self, word: str) -> Sequence[int]:
        """Return the ids of a word."""

    @abstractmethod
    def tables(self) -> list[Sequence[str]]:
        """Return the strings in the order of their ids, for each embedding table."""

    def sizes(self) -> list[int]:
        """Return the number of ids of each embedding table."""
        return [len(strings) for strings in self.tables()]

    @abstractmethod
    def to_json(self) -> Any:
        """Return the argument of `from_json`, made of JSON types."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from the output of `to_json`, which has the type `json_type`."""


class StringIndex:
    """Strings and their ids; the special strings come first.

    Args:
        strings: The strings in the order of their ids, without special ones.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        self.strings = [*SPECIAL, *strings]
        # The special strings are not looked up: the word "<pad>" in a text is an ordinary word.
        self.index = {string: n for n, string in enumerate(self.strings) if n >= len(SPECIAL)}

    def __len__(self) -> int:
        return len(self.strings)

    def __getitem__(self, string: str) -> int:
        return self.index.get(string, UNKNOWN)


def merge(known: Iterable[str], strings: Iterable[str]) -> list[str]:
    """Return the known strings, followed by the strings that are new, without duplicates."""
    return list(dict.fromkeys([*known, *strings]))


def by_frequency(counts: Mapping[str, int], min_count: int) -> list[str]:
    """Return the strings that occur at least `min_count` times, the most frequent first.

    Strings with the same count are sorted alphabetically, so that ids do not depend on the order
    of the files.
    """
    strings = [string for string, count in counts.items() if count >= min_count]
    return sorted(strings, key=lambda string: (-counts[string], string))
