"""Vocabulary of prefixes, suffixes and shapes of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from mtl.options import PositiveInt
from mtl.text.vocabulary.base import SPECIAL, StringIndex, Vocabulary, by_frequency, merge


def word_shape(word: str) -> str:
    """Return the pattern of cases and digits in a word; runs are cut to three characters.

    >>> word_shape("McDonald's"), word_shape("2026"), word_shape("hello")
    ("XxXxxx'x", 'ddd', 'xxx')
    """
    shape: list[str] = []
    for c in word:
        kind = "d" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c
        if shape[-3:] != [kind] * 3:
            shape.append(kind)
    return "".join(shape)


class AffixVocabulary(Vocabulary):
    """Prefix, suffixes and shape of a word: the features of classical taggers."""

    feature = "affixes"
    width = 4
    json_type: ClassVar[Any] = list[list[str]]

    def __init__(self, tables: Iterable[Iterable[str]]) -> None:
        self._tables = [StringIndex(strings) for strings in tables]
        if len(self._tables) != self.width:
            raise ValueError(f"expected {self.width} lists of affixes, got {len(self._tables)}")

    @staticmethod
    def features(word: str) -> tuple[str, str, str, str]:
        """Return the three-letter prefix, the two- and three-letter suffixes, and the shape.

        >>> AffixVocabulary.features("Walking")
        ('wal', 'ng', 'ing', 'Xxxx')
        """
        lower = word.lower()
        return lower[:3], lower[-2:], lower[-3:], word_shape(word)

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        known: Self | None = None,
        *,
        min_affix_count: PositiveInt = 3,
    ) -> Self:
        """Make the vocabulary of a corpus.

        Args:
            counts: Number of occurrences of each word in the training text.
            known: The vocabulary of the run that this run starts from; its affixes come first.
            min_affix_count: Affixes and shapes less frequent than this are unknown.
        """
        tables: list[Counter[str]] = [Counter() for _ in range(cls.width)]
        for word, count in counts.items():
            for table, feature in zip(tables, cls.features(word), strict=True):
                table[feature] += count
        first = known.to_json() if known else [()] * cls.width
        return cls(
            merge(strings, by_frequency(table, min_affix_count))
            for strings, table in zip(first, tables, strict=True)
        )

    def encode(self, word: str) -> list[int]:
        """Return one id per feature."""
        return [
            table[feature] for table, feature in zip(self._tables, self.features(word), strict=True)
        ]

    def tables(self) -> list[Sequence[str]]:
        """Return the values of each feature in the order of their ids."""
        return [table.strings for table in self._tables]

    def to_json(self) -> Any:
        """Return the values of each feature, without special strings."""
        return [table.strings[len(SPECIAL) :] for table in self._tables]

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from the output of `to_json`."""
        return cls(data)
