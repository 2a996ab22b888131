"""Numbering of the characters of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from mtl.options import PositiveInt
from mtl.text.vocabulary.base import SPECIAL, Numbering, Vocabulary, frequent, united


class CharacterVocabulary(Vocabulary):
    """The characters of a word, with marks where it begins and ends.

    An unknown word still has its characters. Of a very long word the first and last ones are kept.
    """

    feature = "characters"
    width = None

    def __init__(self, characters: Iterable[str], max_characters: int) -> None:
        self.max_characters = max_characters
        self._characters = Numbering(["<w>", "</w>", *characters])

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
            counts: Word to how often it occurs in the training text.
            known: The vocabulary of the run that this one starts from; its characters come first.
            min_character_count: Characters less frequent than this are unknown.
            max_characters: Of a longer word, that many are read: half from its start, half from
                its end.
        """
        characters: Counter[str] = Counter()
        for word, count in counts.items():
            for character in word:
                characters[character] += count
        first = known.characters if known else ()
        return cls(united(first, frequent(characters, min_character_count)), max_characters)

    @property
    def characters(self) -> list[str]:
        """The characters by number, without special ones and marks."""
        return self._characters.strings[len(SPECIAL) + 2 :]

    def encode(self, word: str) -> list[int]:
        """Return the numbers of the characters."""
        if len(word) > self.max_characters:
            half = self.max_characters // 2
            word = word[: self.max_characters - half] + word[len(word) - half :]
        index = self._characters
        return [index["<w>"], *(index[character] for character in word), index["</w>"]]

    def tables(self) -> list[Sequence[str]]:
        """Return the characters by number, special ones and marks first."""
        return [self._characters.strings]

    def to_json(self) -> Any:
        """Return characters and options."""
        return {
            "characters": self.characters,
            "max_characters": self.max_characters,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from what `to_json` gave."""
        return cls(data["characters"], data["max_characters"])
