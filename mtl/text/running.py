"""Running text as language models read it: words or parts of them, and ends of sentences."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

END = "<eos>"
"""What comes after the last word of a sentence, and before the first: a word to language models."""

JOINER = "￭"
"""What a token begins with that goes on the word of the one before it."""

_BYTES = {0xDC00 + byte: 0x10FF00 + byte for byte in range(0x80, 0x100)}
"""What Python writes for a byte that belongs to no character, to what tokens have for it.

That is a sign which Unicode leaves to private use, as what Python writes cannot be stored.
"""
_SIGNS = {sign: escape for escape, sign in _BYTES.items()}
_LATER = frozenset(chr(0x10FF00 + byte) for byte in range(0x80, 0xC0))
"""The signs of bytes that a character goes on with."""


def token_of(data: bytes, *, begins: bool) -> str:
    """Return a part of a word as a token, given as bytes, which may cut a character in two.

    >>> token_of("né".encode(), begins=False)
    '￭né'

    Args:
        data: The part in UTF-8.
        begins: Whether the word begins with it; such a part may be empty.
    """
    text = data.decode("utf-8", "surrogateescape")
    if text.startswith(JOINER) or any(ord(sign) in _SIGNS for sign in text):
        text = data.decode("ascii", "surrogateescape")  # what would mean something else
    return JOINER * (not begins) + text.translate(_BYTES)


def characters(text: str) -> list[str]:
    """Return the characters of a text but its blanks, joined within words.

    >>> characters("an ox")
    ['a', '￭n', 'o', '￭x']
    """
    return [JOINER * (place > 0) + c for word in text.split() for place, c in enumerate(word)]


def goes_on(token: str) -> bool:
    """Return whether a token goes on the word of the one before it."""
    return token.startswith(JOINER)


def length(token: str) -> int:
    """Return how many characters of a text a token stands for, with the one behind each word.

    Of a character that is cut in two the first part counts.

    >>> length("ox"), length("￭x"), length(END)
    (3, 1, 0)
    """
    if token == END:
        return 0  # the one behind the last word ends the line
    size = len(token) - sum(sign in _LATER for sign in token)
    return size - 1 if goes_on(token) else size + 1


def whole_words(tokens: Sequence[str]) -> Sequence[str]:
    """Return the words of a sentence, whatever they were cut into.

    >>> whole_words(["a", "￭n", "ox"])
    ['an', 'ox']
    """
    cut = any(map(str.startswith, tokens, repeat(JOINER)))  # `goes_on`, for millions of words
    return "".join(spelt(tokens)).split(" ") if cut else tokens


def spelt(tokens: Iterable[str]) -> Iterator[str]:
    r"""Yield tokens as they are written: a blank before each word but the first of a line.

    A character that is cut in two comes when it is whole.

    >>> "".join(spelt(["a", "￭n", "ox", END, "o", "￭x"]))
    'an ox\nox'
    """
    decoder = getincrementaldecoder("utf-8")("replace")
    blank = ""
    for token in tokens:
        text = token.removeprefix(JOINER) if goes_on(token) else blank + token
        text = "\n" if token == END else text.translate(_SIGNS)
        yield decoder.decode(text.encode("utf-8", "surrogateescape"))
        blank = "" if token == END else " "
    yield decoder.decode(b"", final=True)
