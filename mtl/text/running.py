"""Running text as language models read it: words or parts of them, and ends of sentences."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

END = "<eos>"
"""End of sentence: follows the last word and precedes the first. Language models predict it."""

JOINER = "￭"
"""Prefix of a token that continues the word of the token before it."""

_BYTES = {0xDC00 + byte: 0x10FF00 + byte for byte in range(0x80, 0x100)}
"""Lone surrogate of a stray byte (`surrogateescape`) to a private-use character.

UTF-8 cannot store lone surrogates, so tokens contain the private-use characters instead.
"""
_ESCAPES = {character: surrogate for surrogate, character in _BYTES.items()}
_CONTINUATION_BYTES = frozenset(chr(0x10FF00 + byte) for byte in range(0x80, 0xC0))
"""Private-use characters of the bytes that follow the first byte of a UTF-8 character."""


def token_of(data: bytes, *, begins: bool) -> str:
    """Return the token of a subword, whose bytes may cut a character in two.

    >>> token_of("né".encode(), begins=False)
    '￭né'

    Args:
        data: The subword in UTF-8.
        begins: Whether the subword starts a word; such a subword may be empty.
    """
    text = data.decode("utf-8", "surrogateescape")
    # A literal joiner or private-use character in the data would be misread later: escape its
    # bytes one by one.
    if text.startswith(JOINER) or any(ord(character) in _ESCAPES for character in text):
        text = data.decode("ascii", "surrogateescape")
    return JOINER * (not begins) + text.translate(_BYTES)


def characters(text: str) -> list[str]:
    """Return the characters of a text without blanks; those within a word carry the joiner.

    >>> characters("an ox")
    ['a', '￭n', 'o', '￭x']
    """
    return [JOINER * (index > 0) + c for word in text.split() for index, c in enumerate(word)]


def continues_word(token: str) -> bool:
    """Return whether a token continues the word of the token before it."""
    return token.startswith(JOINER)


def length(token: str) -> int:
    """Return the number of characters of a token, plus the blank or line end after each word.

    A character that is cut in two counts with its first part.

    >>> length("ox"), length("￭x"), length(END)
    (3, 1, 0)
    """
    if token == END:
        return 0  # the line end is already counted with the last word
    size = len(token) - sum(character in _CONTINUATION_BYTES for character in token)
    return size - 1 if continues_word(token) else size + 1


def whole_words(tokens: Sequence[str]) -> Sequence[str]:
    """Return the whole words of a sentence of words, subwords or characters.

    >>> whole_words(["a", "￭n", "ox"])
    ['an', 'ox']
    """
    # `continues_word` unrolled into C-level `map`: this runs over every word of a corpus.
    cut = any(map(str.startswith, tokens, repeat(JOINER)))
    return "".join(detokenize(tokens)).split(" ") if cut else tokens


def detokenize(tokens: Iterable[str]) -> Iterator[str]:
    r"""Yield the text of each token, with a blank before each word but the first of a line.

    The text of a character that is cut in two follows with its last part.

    >>> "".join(detokenize(["a", "￭n", "ox", END, "o", "￭x"]))
    'an ox\nox'
    """
    decoder = getincrementaldecoder("utf-8")("replace")
    blank = ""
    for token in tokens:
        text = token.removeprefix(JOINER) if continues_word(token) else blank + token
        text = "\n" if token == END else text.translate(_ESCAPES)
        yield decoder.decode(text.encode("utf-8", "surrogateescape"))
        blank = "" if token == END else " "
    yield decoder.decode(b"", final=True)


# Names of earlier versions.
goes_on = continues_word
spelt = detokenize
