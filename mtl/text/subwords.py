"""Subwords that a language model reads in place of words, learnt from its training text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self

from mtl.text.running import token_of
from mtl.text.vocabulary import SubwordVocabulary
from mtl.text.vocabulary.base import SPECIAL

BYTES = 256
"""How many subwords there are at least: every byte is one, so that any text can be written."""

_PLAIN = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = sorted(set(range(BYTES)) - set(_PLAIN))
_BYTE = {chr(byte): byte for byte in _PLAIN} | {chr(BYTES + n): b for n, b in enumerate(_OTHERS)}
"""The byte for which byte-level BPE writes a sign: the same one, or where that could not be seen
the next one beyond all bytes (Radford et al. 2019).
"""


class Subwords:
    """Byte-level BPE (Sennrich et al. 2016) of words with the blank before them.

    So a subword tells whether a word begins with it: as a token it has no blank, and one that goes
    on a word begins with `mtl.text.running.JOINER`. A word that begins with a rare character may
    begin with the subword of the blank alone, which as a token is empty.

    >>> subwords = Subwords.learn({"ox": 3, "oxen": 2}, BYTES + 2)
    >>> subwords.cut("ox  oxen axe")
    ['ox', 'ox', '￭e', '￭n', '', '￭a', '￭x', '￭e']
    """

    def __init__(self, vocabulary: SubwordVocabulary) -> None:
        self._vocabulary = vocabulary
        self.tokens = [_token(subword) for subword in vocabulary.tables()[0][len(SPECIAL) :]]
        """All of them, as tokens."""
        self._cut = lru_cache(maxsize=100_000)(self._cut_word)

    @classmethod
    def learn(cls, counts: Mapping[str, int], number: int) -> Self:
        """Learn the subwords of a text.

        Args:
            counts: Word to how often it occurs in the training text.
            number: How many subwords, the 256 bytes among them; fewer if the text does not repeat
                that many.
        """
        spaced = {f" {word}": count for word, count in counts.items()}
        return cls(SubwordVocabulary.build(spaced, pieces=number + len(SPECIAL)))

    def cut(self, text: str) -> list[str]:
        """Return the subwords of a text, whose words stand between blanks."""
        return [token for word in text.split() for token in self._cut(word)]

    def _cut_word(self, word: str) -> list[str]:
        numbers = self._vocabulary.encode(f" {word}")
        return [self.tokens[number - len(SPECIAL)] for number in numbers]

    def to_json(self) -> Any:
        """Return the tokenizer in the format of `tokenizers`."""
        return self._vocabulary.to_json()

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the subwords from what `to_json` gave."""
        return cls(SubwordVocabulary.from_json(data))


def _token(subword: str) -> str:
    data = bytes(_BYTE[sign] for sign in subword)
    return token_of(data.removeprefix(b" "), begins=data.startswith(b" "))
