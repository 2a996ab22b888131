"""Vocabulary of whole words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NotRequired, Self

from typing_extensions import TypedDict

from mtl.options import NonNegativeInt, PositiveInt
from mtl.text.vocabulary.base import SPECIAL, UNKNOWN, StringIndex, Vocabulary, by_frequency, merge


class WordsJson(TypedDict):
    """The saved form of the vocabulary."""

    words: list[str]
    lowercase: bool
    digits: bool
    extra: NotRequired[NonNegativeInt]
    fallback: NotRequired[bool]


class WordVocabulary(Vocabulary):
    """Whole words.

    Args:
        words: The words in the order of their ids, without special ones.
        lowercase: Whether words are lower-cased.
        digits: Whether every digit becomes 0.
        extra: Number of the last words, which the training text lacks. They come from a file of
            vectors or from an earlier run, and their vectors are never trained.
        fallback: Whether an unknown word is looked up in lower case too.

    Raises:
        ValueError: `extra` exceeds the number of words.

    >>> vocabulary = WordVocabulary.build({"The": 2, "cat": 1}, min_count=2)
    >>> [vocabulary.encode(word) for word in ("the", "THE", "cat")]
    [(2,), (2,), (1,)]
    """

    feature = "words"
    width = 1
    json_type: ClassVar[Any] = WordsJson

    def __init__(
        self,
        words: Iterable[str],
        lowercase: bool,
        digits: bool,
        extra: int = 0,
        fallback: bool = False,
    ) -> None:
        self.lowercase = lowercase
        self.digits = digits
        self.extra = extra
        self.fallback = fallback
        self._words = StringIndex(words)
        if self.trained < len(SPECIAL):
            raise ValueError(f"extra: expected at most the number of words, got {extra}")

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        known: Self | None = None,
        further: Iterable[str] = (),
        vectors: Collection[str] = (),
        extra: Iterable[str] = (),
        predicted: bool = False,
        *,
        min_count: PositiveInt = 1,
        lowercase: bool = True,
        digits: bool = False,
    ) -> Self:
        """Make the vocabulary of a corpus.

        Args:
            counts: Number of occurrences of each word in the training text.
            known: The vocabulary of the run that this run starts from. Its words come first, except
                words outside of the training text, whose vectors are not trained.
            further: Additional words that are trained, such as all subwords.
            vectors: The words of a file of pretrained vectors. Words of the training text that are
                among them, with their case or in lower case, are known even if they are rare.
            extra: Further known words, from the file alone.
            predicted: Whether a language model predicts the words; then the words of `known` whose
                vectors were trained all stay trained.
            min_count: Words less frequent than this are unknown words.
            lowercase: Whether words are lower-cased.
            digits: Whether every digit becomes 0.
        """
        empty = cls((), lowercase, digits)
        merged: Counter[str] = Counter()
        for word, count in counts.items():
            merged[empty.normalise(word)] += count
        with_vectors = set(map(empty.normalise, vectors))
        rare = (
            word
            for word in (by_frequency(merged, 1) if with_vectors else ())
            if not with_vectors.isdisjoint((word, empty.normalise(word.lower())))
        )
        words = [*by_frequency(merged, min_count), *map(empty.normalise, further), *rare]
        # The run before may have kept case where this one does not.
        before = [*map(empty.normalise, known.words[len(SPECIAL) :])] if known else []
        end = known.trained - len(SPECIAL) if known else 0
        # With few trained vectors, the steps of a small corpus are several times faster.
        again = before[:end] if predicted else [word for word in before[:end] if word in merged]
        trained = merge(again, words)
        whole = merge(trained, [*before, *map(empty.normalise, extra)])
        fallback = bool(vectors) or (known is not None and known.fallback)
        return cls(whole, lowercase, digits, len(whole) - len(trained), fallback)

    def normalise(self, word: str) -> str:
        """Return the normalised form of a word, which is looked up."""
        word = word.lower() if self.lowercase else word
        return "".join("0" if c.isdigit() else c for c in word) if self.digits else word

    def encode(self, word: str) -> tuple[int]:
        """Return the id of a word, as a tuple of one."""
        number = self._words[self.normalise(word)]
        if number == UNKNOWN and self.fallback:
            number = self._words[self.normalise(word.lower())]
        return (number,)

    @property
    def trained(self) -> int:
        """Number of ids whose vectors are trained, the special ones included; they come first."""
        return len(self._words) - self.extra

    def trained_words(self) -> WordVocabulary:
        """Return the words whose vectors are trained, with the same ids, without the fallback."""
        words = self.words[len(SPECIAL) : self.trained]
        return WordVocabulary(words, self.lowercase, self.digits)

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
            "extra": self.extra,
            "fallback": self.fallback,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from the output of `to_json`."""
        # Folders of earlier versions have no extra words.
        further = data.get("extra", 0), data.get("fallback", False)
        return cls(data["words"], data["lowercase"], data["digits"], *further)
