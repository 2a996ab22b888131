"""Vocabulary of the characters of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from typing_extensions import TypedDict

from mtl.options import PositiveInt
from mtl.text.vocabulary.base import SPECIAL, StringIndex, Vocabulary, by_frequency, merge


class CharactersJson(TypedDict):
    """The saved form of the vocabulary."""

    characters: list[str]
    max_characters: PositiveInt


class CharacterVocabulary(Vocabulary):
    """The characters of a word between a start token and an end token.

    Characters represent unknown words too. Words longer than `max_characters` lose their middle.

    Args:
        characters: The characters in the order of their ids, without special ones.
        max_characters: Maximum number of characters per word.
    """

    feature = "characters"
    width = None
    json_type: ClassVar[Any] = CharactersJson

    def __init__(self, characters: Iterable[str], max_characters: int) -> None:
        self.max_characters = max_characters
        self._characters = StringIndex(["<w>", "</w>", *characters])

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        known: Self | None = None,
        *,
        min_character_count: PositiveInt = 2,
        max_characters: PositiveInt = 32,
    ) -> Self:
        """Make the vocabulary of a corpus.

        Args:
            counts: Number of occurrences of each word in the training text.
            known: The vocabulary of the run that this run starts from; its characters come first.
            min_character_count: Characters less frequent than this are unknown.
            max_characters: Maximum number of characters per word. Longer words are read half from
                their start and half from their end.
        """
        characters: Counter[str] = Counter()
        for word, count in counts.items():
            for character in word:
                characters[character] += count
        first = known.characters if known else ()
        return cls(merge(first, by_frequency(characters, min_character_count)), max_characters)

    @property
    def characters(self) -> list[str]:
        """The characters in the order of their ids, without special ones and word borders."""
        return self._characters.strings[len(SPECIAL) + 2 :]

    def encode(self, word: str) -> list[int]:
        """Return the ids of the characters, between the ids of `<w>` and `</w>`."""
        if len(word) > self.max_characters:
            half = self.max_characters // 2
            word = word[: self.max_characters - half] + word[len(word) - half :]
        index = self._characters
        return [index["<w>"], *(index[character] for character in word), index["</w>"]]

    def tables(self) -> list[Sequence[str]]:
        """Return the characters in the order of their ids, special ones and word borders first."""
        return [self._characters.strings]

    def to_json(self) -> Any:
        """Return the characters and the options."""
        return {
            "characters": self.characters,
            "max_characters": self.max_characters,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from the output of `to_json`."""
        return cls(data["characters"], data["max_characters"])
