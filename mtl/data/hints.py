"""Weak labels, computed from the words themselves by a regular expression or a lexicon."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from mtl.data.readers.base import Record
from mtl.data.sources import Source
from mtl.errors import DataError
from mtl.files import open_text
from mtl.targets import SentenceLabelTarget, Target, TokenLabelTarget
from mtl.text.example import Labels

YES, NO = "yes", "no"


@dataclass(frozen=True)
class Hint:
    """Labels "yes" or "no": whether a word, or any word of a sentence, matches.

    Predicting such labels as an auxiliary task teaches a network features that its other tasks
    need (Caruana 1997). Examples are whether a sentence contains a name (Cheng et al. 2015) or an
    opinion word (Yu & Jiang 2016).

    Args:
        level: "token": one label per word; "sentence": one label per sentence.
        pattern: A regular expression that matches anywhere in a word, or None.
        lexicon: Words, or None. A word in lower case also matches its capitalised forms.
    """

    level: Literal["token", "sentence"]
    pattern: str | None = None
    lexicon: tuple[str, ...] | None = None

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(self.lexicon or ())

    weight: ClassVar[None] = None

    @property
    def targets(self) -> tuple[type[Target], ...]:
        """The target of the labels."""
        return (TokenLabelTarget if self.level == "token" else SentenceLabelTarget,)

    def read(self, record: Record) -> tuple[type[Target], Labels]:
        """Return "yes" or "no" for each word, or for the sentence or pair of sentences."""
        if self.level == "token":
            return TokenLabelTarget, tuple(
                YES if self._fits(word) else NO for word in record.tokens
            )
        words = record.tokens + (record.pair or [])
        return SentenceLabelTarget, YES if any(map(self._fits, words)) else NO

    def read_weight(self, record: Record) -> None:
        """Return None: weak labels have no weights."""

    def _fits(self, word: str) -> bool:
        if self.pattern is not None:
            return re.search(self.pattern, word) is not None
        return word in self._words or word.lower() in self._words


LabelSource: TypeAlias = Source | Hint


def read_lexicon(path: str | Path) -> tuple[str, ...]:
    """Return the words of a file with one word per line, sorted, without empty lines.

    Raises:
        DataError: The file cannot be read, or it contains no word.
    """
    # Sorted and without duplicates, so that the same words in another order reuse the cache.
    with open_text(path) as file:
        words = {word for line in file if (word := line.strip())}
    if not words:
        raise DataError("the file contains no words; expected one word per line", path)
    return tuple(sorted(words))
