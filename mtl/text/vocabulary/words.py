"""Vocabulary of whole words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from typing_extensions import TypedDict

from mtl.options import PositiveInt
from mtl.text.vocabulary.base import SPECIAL, StringIndex, Vocabulary, by_frequency, merge


class WordsJson(TypedDict):
    """The saved form of the vocabulary."""

    words: list[str]
    lowercase: bool
    digits: bool


class WordVocabulary(Vocabulary):
    """Whole words.

    Args:
        words: The words in the order of their ids, without special ones.
        lowercase: Whether words are lower-cased.
        digits: Whether every digit becomes 0.

    >>> vocabulary = WordVocabulary.build({"The": 2, "cat": 1}, min_count=2)
    >>> [vocabulary.encode(word) for word in ("the", "THE", "cat")]
    [(2,), (2,), (1,)]
    """

    feature = "words"
    width = 1
    json_type: ClassVar[Any] = WordsJson

    def __init__(self, words: Iterable[str], lowercase: bool, digits: bool) -> None:
        self.lowercase = lowercase
        self.digits = digits
        self._words = StringIndex(words)

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        known: Self | None = None,
        further: Iterable[str] = (),
        *,
        min_count: PositiveInt = 1,
        lowercase: bool = True,
        digits: bool = False,
    ) -> Self:
        """Make the vocabulary of a corpus.

        Args:
            counts: Number of occurrences of each word in the training text.
            known: The vocabulary of the run that this run starts from; its words come first.
            further: Additional words, such as the words of a file of pretrained vectors.
            min_count: Words less frequent than this are unknown words.
            lowercase: Whether words are lower-cased.
            digits: Whether every digit becomes 0.
        """
        empty = cls((), lowercase, digits)
        merged: Counter[str] = Counter()
        for word, count in counts.items():
            merged[empty.normalise(word)] += count
        words = [*by_frequency(merged, min_count), *map(empty.normalise, further)]
        # The run before may have kept case where this one does not.
        first = map(empty.normalise, known.words[len(SPECIAL) :] if known else ())
        return cls(merge(first, words), lowercase, digits)

    def normalise(self, word: str) -> str:
        """Return the normalised form of a word, which is looked up."""
        word = word.lower() if self.lowercase else word
        return "".join("0" if c.isdigit() else c for c in word) if self.digits else word

    def encode(self, word: str) -> tuple[int]:
        """Return the id of a word, as a tuple of one."""
        return (self._words[self.normalise(word)],)

    @property
    def words(self) -> list[str]:
        """The words in the order of their ids, special ones first."""
        return self._words.strings

    def tables(self) -> list[Sequence[str]]:
        """Return the words in the order of their ids, special ones first."""
        return [self.words]

    def to_json(self) -> Any:
        """Return the words and the options."""
        return {
            "words": self.words[len(SPECIAL) :],
            "lowercase": self.lowercase,
            "digits": self.digits,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from the output of `to_json`."""
        return cls(data["words"], data["lowercase"], data["digits"])
