"""Numbering of words, characters, affixes and subwords. Number 0 pads, number 1 is the unknown."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from mtl.options import NonNegativeInt, PositiveInt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, UNKNOWN = 0, 1
_SPECIAL = ("<pad>", "<unk>")


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
    def build(cls, counts: Mapping[str, int]) -> Self:
        """Make the vocabulary of a corpus.

        Args:
            counts: Word to how often it occurs in the training text, and there alone.
        """

    @abstractmethod
    def encode(self, word: str) -> Sequence[int]:
        """Return the numbers of a word."""

    @abstractmethod
    def sizes(self) -> list[int]:
        """Return how many numbers there are, for each table of embeddings that they index."""

    @abstractmethod
    def to_json(self) -> Any:
        """Return what `from_json` needs, made of JSON types."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from what `to_json` gave."""


class _Numbering:
    """Strings by number, the special ones first."""

    def __init__(self, strings: Iterable[str]) -> None:
        self.strings = [*_SPECIAL, *strings]
        # A word of the text that is spelt like a special string is no such thing.
        self.index = {string: n for n, string in enumerate(self.strings) if n >= len(_SPECIAL)}

    def __len__(self) -> int:
        return len(self.strings)

    def __getitem__(self, string: str) -> int:
        return self.index.get(string, UNKNOWN)


def _frequent(counts: Mapping[str, int], min_count: int) -> list[str]:
    """Return the strings that occur often enough, the most frequent first, ties by alphabet."""
    kept = [string for string, count in counts.items() if count >= min_count]
    return sorted(kept, key=lambda string: (-counts[string], string))


class WordVocabulary(Vocabulary):
    """Whole words.

    >>> vocabulary = WordVocabulary.build({"The": 2, "cat": 1}, min_count=2)
    >>> [vocabulary.encode(word) for word in ("the", "THE", "cat")]
    [(2,), (2,), (1,)]
    """

    feature = "words"
    width = 1

    def __init__(self, words: Iterable[str], lowercase: bool, digits: bool) -> None:
        self.lowercase = lowercase
        self.digits = digits
        self._words = _Numbering(words)

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        further: Iterable[str] = (),
        *,
        min_count: PositiveInt = 1,
        lowercase: bool = True,
        digits: bool = False,
    ) -> Self:
        """Make the vocabulary of a corpus.

        Args:
            counts: Word to how often it occurs in the training text.
            further: Words to know besides, such as those of a file of pretrained vectors.
            min_count: Words less frequent than this are unknown words.
            lowercase: Whether case is dropped.
            digits: Whether every digit becomes 0.
        """
        empty = cls((), lowercase, digits)
        merged: Counter[str] = Counter()
        for word, count in counts.items():
            merged[empty.normalise(word)] += count
        frequent = _frequent(merged, min_count)
        known = set(frequent)
        added = [w for w in dict.fromkeys(map(empty.normalise, further)) if w not in known]
        return cls([*frequent, *added], lowercase, digits)

    def normalise(self, word: str) -> str:
        """Return the form of a word that is looked up."""
        word = word.lower() if self.lowercase else word
        return "".join("0" if c.isdigit() else c for c in word) if self.digits else word

    def encode(self, word: str) -> tuple[int]:
        """Return the number of a word, as a tuple of one."""
        return (self._words[self.normalise(word)],)

    @property
    def words(self) -> list[str]:
        """The words by number, the special ones first."""
        return self._words.strings

    def sizes(self) -> list[int]:
        """Return the number of words, special ones counted."""
        return [len(self._words)]

    def to_json(self) -> Any:
        """Return words and options."""
        return {
            "words": self.words[len(_SPECIAL) :],
            "lowercase": self.lowercase,
            "digits": self.digits,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from what `to_json` gave."""
        return cls(data["words"], data["lowercase"], data["digits"])


class CharacterVocabulary(Vocabulary):
    """The characters of a word, with marks where it begins and ends.

    An unknown word still has its characters. Of a very long word the first and last ones are kept.
    """

    feature = "characters"
    width = None

    def __init__(self, characters: Iterable[str], max_characters: int) -> None:
        self.max_characters = max_characters
        self._characters = _Numbering(["<w>", "</w>", *characters])

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        *,
        min_character_count: PositiveInt = 2,
        max_characters: PositiveInt = 32,
    ) -> Self:
        """Make the vocabulary of a corpus.

        Args:
            counts: Word to how often it occurs in the training text.
            min_character_count: Characters less frequent than this are unknown.
            max_characters: Of a longer word, that many are read: half from its start, half from
                its end.
        """
        characters: Counter[str] = Counter()
        for word, count in counts.items():
            for character in word:
                characters[character] += count
        return cls(_frequent(characters, min_character_count), max_characters)

    def encode(self, word: str) -> list[int]:
        """Return the numbers of the characters."""
        if len(word) > self.max_characters:
            half = self.max_characters // 2
            word = word[: self.max_characters - half] + word[len(word) - half :]
        index = self._characters
        return [index["<w>"], *(index[character] for character in word), index["</w>"]]

    def sizes(self) -> list[int]:
        """Return the number of characters, special ones counted."""
        return [len(self._characters)]

    def to_json(self) -> Any:
        """Return characters and options."""
        return {
            "characters": self._characters.strings[len(_SPECIAL) + 2 :],
            "max_characters": self.max_characters,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from what `to_json` gave."""
        return cls(data["characters"], data["max_characters"])


def word_shape(word: str) -> str:
    """Return the pattern of cases and digits in a word, runs longer than three cut.

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
    """Prefix, suffixes and shape of a word: the features of classical taggers, as embeddings."""

    feature = "affixes"
    width = 4

    def __init__(self, tables: Sequence[Iterable[str]]) -> None:
        self._tables = [_Numbering(strings) for strings in tables]

    @staticmethod
    def features(word: str) -> tuple[str, str, str, str]:
        """Return the three-letter prefix, the two- and three-letter suffixes, and the shape.

        >>> AffixVocabulary.features("Walking")
        ('wal', 'ng', 'ing', 'Xxxx')
        """
        lower = word.lower()
        return lower[:3], lower[-2:], lower[-3:], word_shape(word)

    @classmethod
    def build(cls, counts: Mapping[str, int], *, min_affix_count: PositiveInt = 3) -> Self:
        """Make the vocabulary of a corpus.

        Args:
            counts: Word to how often it occurs in the training text.
            min_affix_count: Affixes and shapes less frequent than this are unknown.
        """
        tables: list[Counter[str]] = [Counter() for _ in range(cls.width)]
        for word, count in counts.items():
            for table, feature in zip(tables, cls.features(word), strict=True):
                table[feature] += count
        return cls([_frequent(table, min_affix_count) for table in tables])

    def encode(self, word: str) -> list[int]:
        """Return one number a feature."""
        return [
            table[feature] for table, feature in zip(self._tables, self.features(word), strict=True)
        ]

    def sizes(self) -> list[int]:
        """Return the number of values of each feature."""
        return [len(table) for table in self._tables]

    def to_json(self) -> Any:
        """Return the values of each feature."""
        return [table.strings[len(_SPECIAL) :] for table in self._tables]

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from what `to_json` gave."""
        return cls(data)


class SubwordVocabulary(Vocabulary):
    """Byte-level BPE pieces (Sennrich et al. 2016) of a word, learnt by `tokenizers`."""

    feature = "subwords"
    width = None

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        *,
        pieces: PositiveInt = 4000,
        min_piece_count: NonNegativeInt = 2,
    ) -> Self:
        """Learn the pieces of a corpus.

        Args:
            counts: Word to how often it occurs in the training text.
            pieces: The number of pieces; the 256 bytes and two special ones are among them.
            min_piece_count: Pairs less frequent than this are not merged.
        """
        from tokenizers import Tokenizer
        from tokenizers.models import BPE
        from tokenizers.pre_tokenizers import ByteLevel
        from tokenizers.trainers import BpeTrainer

        tokenizer = Tokenizer(BPE())
        tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
        trainer = BpeTrainer(
            vocab_size=max(0, pieces - len(_SPECIAL)),
            min_frequency=min_piece_count,
            initial_alphabet=ByteLevel.alphabet(),
            show_progress=False,
        )
        words = (word for word, count in sorted(counts.items()) for _ in range(count))
        tokenizer.train_from_iterator(words, trainer)
        return cls(tokenizer)

    def encode(self, word: str) -> list[int]:
        """Return the numbers of the pieces, after the special ones, which no text has."""
        return [len(_SPECIAL) + number for number in self._tokenizer.encode(word).ids]

    def sizes(self) -> list[int]:
        """Return the number of pieces, special ones counted."""
        return [len(_SPECIAL) + self._tokenizer.get_vocab_size()]

    def to_json(self) -> Any:
        """Return the tokenizer in the format of `tokenizers`."""
        return json.loads(self._tokenizer.to_str())

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from what `to_json` gave."""
        from tokenizers import Tokenizer

        return cls(Tokenizer.from_str(json.dumps(data)))
