"""Vocabulary of the character n-grams of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from typing_extensions import TypedDict

from mtl.errors import OptionError
from mtl.options import PositiveInt
from mtl.text.vocabulary.base import (
    SPECIAL,
    UNKNOWN,
    StringIndex,
    Vocabulary,
    by_frequency,
    merge,
)


def ngrams_of(word: str, shortest: int, longest: int) -> Iterator[str]:
    """Yield the character n-grams of a word between `<` and `>`, the shorter ones first.

    >>> list(ngrams_of("ox", 2, 3))
    ['<o', 'ox', 'x>', '<ox', 'ox>']
    """
    marked = f"<{word}>"
    for length in range(shortest, min(longest, len(marked)) + 1):
        for start in range(len(marked) - length + 1):
            yield marked[start : start + length]


def check_lengths(shortest: int, longest: int) -> None:
    """Raise OptionError if no n-gram has an allowed length."""
    if longest < shortest:
        raise OptionError("longest", f"expected at least shortest = {shortest}, got {longest}")


class NgramsJson(TypedDict):
    """The saved form of the vocabulary."""

    ngrams: list[str]
    shortest: PositiveInt
    longest: PositiveInt
    max_word: PositiveInt


class NgramVocabulary(Vocabulary):
    """The frequent character n-grams of words.

    Args:
        ngrams: The n-grams in the order of their ids, without special ones.
        shortest: Least number of characters of an n-gram.
        longest: Greatest number of characters of an n-gram.
        max_word: Longer words lose their middle.
    """

    feature = "ngrams"
    width = None
    json_type: ClassVar[Any] = NgramsJson

    def __init__(self, ngrams: Iterable[str], shortest: int, longest: int, max_word: int) -> None:
        self.shortest = shortest
        self.longest = longest
        self.max_word = max_word
        self._ngrams = StringIndex(ngrams)

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        known: Self | None = None,
        *,
        min_ngram_count: PositiveInt = 3,
        shortest: PositiveInt = 2,
        longest: PositiveInt = 4,
        max_word: PositiveInt = 32,
    ) -> Self:
        """Make the vocabulary of a corpus.

        Args:
            counts: Number of occurrences of each word in the training text.
            known: The vocabulary of the run that this run starts from; its n-grams come first.
            min_ngram_count: N-grams less frequent than this are left out.
            shortest: Least number of characters of an n-gram, with the marks of the word borders.
            longest: Greatest number of characters of an n-gram.
            max_word: Maximum number of characters per word. Longer words are read half from their
                start and half from their end.

        Raises:
            OptionError: `longest` is smaller than `shortest`.
        """
        check_lengths(shortest, longest)
        ngrams: Counter[str] = Counter()
        for word, count in counts.items():
            for ngram in ngrams_of(_shortened(word, max_word), shortest, longest):
                ngrams[ngram] += count
        first = known.ngrams if known else ()
        strings = merge(first, by_frequency(ngrams, min_ngram_count))
        return cls(strings, shortest, longest, max_word)

    @property
    def ngrams(self) -> list[str]:
        """The n-grams in the order of their ids, without special ones."""
        return self._ngrams.strings[len(SPECIAL) :]

    def encode(self, word: str) -> list[int]:
        """Return the ids of the known n-grams; the unknown id if there are none."""
        found = (
            self._ngrams[ngram]
            for ngram in ngrams_of(_shortened(word, self.max_word), self.shortest, self.longest)
        )
        return [number for number in found if number != UNKNOWN] or [UNKNOWN]

    def tables(self) -> list[Sequence[str]]:
        """Return the n-grams in the order of their ids, special ones first."""
        return [self._ngrams.strings]

    def to_json(self) -> Any:
        """Return the n-grams and the options."""
        return {
            "ngrams": self.ngrams,
            "shortest": self.shortest,
            "longest": self.longest,
            "max_word": self.max_word,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from the output of `to_json`."""
        return cls(data["ngrams"], data["shortest"], data["longest"], data["max_word"])


def _shortened(word: str, length: int) -> str:
    if len(word) <= length:
        return word
    half = length // 2
    return word[: length - half] + word[len(word) - half :]
