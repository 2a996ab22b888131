"""Subwords that a language model reads in place of words, learned from its training text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self

from mtl.text.running import token_of
from mtl.text.vocabulary import SubwordVocabulary
from mtl.text.vocabulary.base import SPECIAL

BYTES = 256
"""Minimum number of subwords: every byte is a subword, so that any text can be encoded."""

_PLAIN = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = sorted(set(range(BYTES)) - set(_PLAIN))
_BYTE = {chr(byte): byte for byte in _PLAIN} | {chr(BYTES + n): b for n, b in enumerate(_OTHERS)}
"""Character of byte-level BPE to its byte (Radford et al. 2019).

A byte that is a visible Latin-1 character is written as that character; the other bytes are
written as the characters from U+0100 on.
"""


class Subwords:
    """Byte-level BPE (Sennrich et al. 2016) of words, each with the blank before it.

    The blank marks the subword that starts a word. In tokens the blank is dropped, and a token
    that continues a word starts with `mtl.text.running.JOINER` instead. A word whose first
    character is rare may start with the subword of the blank alone, which is an empty token.

    >>> subwords = Subwords.learn({"ox": 3, "oxen": 2}, BYTES + 2)
    >>> subwords.cut("ox  oxen axe")
    ['ox', 'ox', '￭e', '￭n', '', '￭a', '￭x', '￭e']
    """

    def __init__(self, vocabulary: SubwordVocabulary) -> None:
        self._vocabulary = vocabulary
        self.tokens = [_token(subword) for subword in vocabulary.tables()[0][len(SPECIAL) :]]
        """All subwords as tokens, in the order of their ids."""
        # Most of a text consists of few words, so each of them is cut once.
        self._cut = lru_cache(maxsize=100_000)(self._cut_word)

    @classmethod
    def learn(cls, counts: Mapping[str, int], number: int) -> Self:
        """Learn subwords from the words of a text.

        Args:
            counts: Number of occurrences of each word in the training text.
            number: Number of subwords, including the 256 bytes. If the text has too few repeated
                pairs, there are fewer.
        """
        spaced = {f" {word}": count for word, count in counts.items()}
        return cls(SubwordVocabulary.build(spaced, pieces=number + len(SPECIAL)))

    def cut(self, text: str) -> list[str]:
        """Split a text at blanks, and return the subwords of its words."""
        return [token for word in text.split() for token in self._cut(word)]

    def _cut_word(self, word: str) -> list[str]:
        ids = self._vocabulary.encode(f" {word}")
        return [self.tokens[i - len(SPECIAL)] for i in ids]

    def to_json(self) -> Any:
        """Return the tokenizer in the format of `tokenizers`."""
        return self._vocabulary.to_json()

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the subwords from the output of `to_json`."""
        return cls(SubwordVocabulary.from_json(data))


def _token(subword: str) -> str:
    data = bytes(_BYTE[character] for character in subword)
    return token_of(data.removeprefix(b" "), begins=data.startswith(b" "))
