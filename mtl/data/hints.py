"""Hints: labels that follow from the words themselves, by a regular expression or a list."""

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
    """Whether a word, or any word of a sentence, is of the kind that is looked for.

    A network that has to tell finds out sooner what is of use to its other tasks (Caruana 1997):
    whether a name stands in the sentence (Cheng et al. 2015), or a word of opinion (Yu & Jiang
    2016).

    Args:
        level: "token": one label a word; "sentence": one label a sentence.
        pattern: A regular expression that is found anywhere in a word, or None.
        lexicon: Words, or None. One in lower case stands for all its forms of case.
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
        """Return None: labels that follow from words have no weights."""

    def _fits(self, word: str) -> bool:
        if self.pattern is not None:
            return re.search(self.pattern, word) is not None
        return word in self._words or word.lower() in self._words


LabelSource: TypeAlias = Source | Hint


def read_lexicon(path: str | Path) -> tuple[str, ...]:
    """Return the words of a file, one a line, by alphabet; empty lines are left out.

    Raises:
        DataError: The file cannot be read, or there is no word in it.
    """
    with open_text(path) as file:
        words = {word for line in file if (word := line.strip())}
    if not words:
        raise DataError("there is no word in it; expected one a line", path)
    return tuple(sorted(words))
