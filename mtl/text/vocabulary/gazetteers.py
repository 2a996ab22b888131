"""Vocabulary of the words of phrase lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from typing_extensions import TypedDict

from mtl.errors import DataError
from mtl.options import FilePath
from mtl.text.phrases import Phrases, read_phrases
from mtl.text.vocabulary.base import SPECIAL, StringIndex, Vocabulary

OUTSIDE, FIRST, INSIDE = range(3)
"""The position of a word: in no phrase of a list, first in a phrase, or further inside."""


class NumberedPhrase(TypedDict):
    """A phrase of a lexicon and its number."""

    words: list[str]
    number: float


class GazetteersJson(TypedDict):
    """The saved form."""

    lowercase: bool
    lists: dict[str, list[list[str]]]
    numbers: dict[str, list[NumberedPhrase]]


class GazetteerVocabulary(Vocabulary):
    """The words of lists of phrases, and the lists. It is stored with the model.

    The id of a word identifies its form; 1 is a word in no phrase.

    Args:
        lists: Name of a list to its phrases.
        numbers: Name of a list to its phrases and their numbers.
        lowercase: Whether words are compared in lower case.
    """

    feature = "gazetteers"
    width = 1
    json_type: ClassVar[Any] = GazetteersJson

    def __init__(
        self,
        lists: Mapping[str, Iterable[Sequence[str]]],
        numbers: Mapping[str, Mapping[tuple[str, ...], float]],
        *,
        lowercase: bool,
    ) -> None:
        self.lowercase = lowercase
        self._lists = {name: sorted({*map(tuple, own)}) for name, own in lists.items()}
        self._numbers = {name: dict(sorted(own.items())) for name, own in numbers.items()}
        groups = [*self._lists.values(), *self._numbers.values()]
        words = dict.fromkeys(word for own in groups for phrase in own for word in phrase)
        self._index = StringIndex(words)

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        known: Self | None = None,
        *,
        lists: Mapping[str, FilePath] | None = None,
        lowercase: bool = False,
    ) -> Self:
        """Read the lists.

        Args:
            counts: Number of occurrences of each word in the training text; not used.
            known: Not used: ids have no vectors, so they may change.
            lists: Name to file: one phrase per line, its words separated by blanks. After a tab, a
                line may have a label, so that each label is a list of its own, or a number.
            lowercase: Whether upper and lower case are the same.

        Raises:
            DataError: A file has another form, or two lists get one name.
        """
        phrases: dict[str, list[tuple[str, ...]]] = {}
        numbers = {}
        for name, path in (lists or {}).items():
            labelled, numbered = read_phrases(path, lowercase=lowercase)
            for label, own in labelled.items():
                key = f"{name}.{label}" if label else name
                if key in phrases:
                    message = (
                        f"the label {label!r} in the list {name!r}"
                        if label
                        else f"the list {name!r}"
                    )
                    raise DataError(f"{message} makes a second list {key!r}; rename a list", path)
                phrases[key] = own
            if numbered:
                numbers[name] = numbered
        return cls(phrases, numbers, lowercase=lowercase)

    def phrases(self) -> list[Phrases[int, float]]:
        """Return a finder of phrases of word ids for each list without numbers."""
        return [Phrases(dict.fromkeys(map(self._ids, own), 1.0)) for own in self._lists.values()]

    def numbered(self) -> list[Phrases[int, float]]:
        """Return a finder of phrases of word ids, with their numbers, for each list of numbers."""
        return [
            Phrases({self._ids(phrase): number for phrase, number in own.items()})
            for own in self._numbers.values()
        ]

    def _ids(self, phrase: Sequence[str]) -> tuple[int, ...]:
        return tuple(self._index[word] for word in phrase)

    def encode(self, word: str) -> list[int]:
        """Return the id of the form of a word."""
        return [self._index[word.lower() if self.lowercase else word]]

    def tables(self) -> list[Sequence[str]]:
        """Return the positions in each list without numbers: outside, first and inside."""
        if not self._lists:
            return []
        return [[*SPECIAL, *(f"{name} {mark}" for name in self._lists for mark in "OBI")]]

    def to_json(self) -> Any:
        """Return the lists."""
        return {
            "lowercase": self.lowercase,
            "lists": {name: [*map(list, own)] for name, own in self._lists.items()},
            "numbers": {
                name: [{"words": list(phrase), "number": number} for phrase, number in own.items()]
                for name, own in self._numbers.items()
            },
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from the output of `to_json`."""
        numbers = {
            name: {tuple(own["words"]): own["number"] for own in phrases}
            for name, phrases in data["numbers"].items()
        }
        return cls(data["lists"], numbers, lowercase=data["lowercase"])
